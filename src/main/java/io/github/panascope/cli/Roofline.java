package io.github.panascope.cli;

import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.RowsAtOnce;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Op;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** Times phases of a run and compares each with a loop of the matrix products that it consists of, in equal shapes. */
final class Roofline {
    private final BenchTimer timer;
    private final Device device;
    private final DType dtype;

    Roofline(BenchTimer timer, Device device, DType dtype) {
        this.timer = timer;
        this.device = device;
        this.dtype = dtype;
    }

    /** Measures one block, the loss, the encoder and the decoder, and prints a table. */
    void measure(HookedTransformer model, Sae sae, Tensor tokens) {
        int batch = (int) Math.min(RowsAtOnce.on(device, BenchCommand.CONTEXT), tokens.size(0));
        int positions = batch * BenchCommand.CONTEXT;
        int encoded = Math.min(positions, device.isCpu() ? 256 : 8192);
        Tensor some = tokens.slice(0, 0, batch).to(device);
        double copied = bandwidth();
        System.out.printf(
                Locale.ROOT,
                "%nroofline: memory is copied at %.1f GB/s%n  %-28s %9s %9s %9s %12s %10s%n",
                copied,
                "phase",
                "GFLOP",
                "GB",
                "ms",
                "GFLOP/s",
                "of GEMM");
        Tensor resid = model.forward(some).stopAtLayer(BenchCase.LAYER);
        int[][] block = {
            {BenchCommand.WIDTH, 3 * BenchCommand.WIDTH},
            {BenchCommand.WIDTH, BenchCommand.WIDTH},
            {BenchCommand.WIDTH, 4 * BenchCommand.WIDTH},
            {4 * BenchCommand.WIDTH, BenchCommand.WIDTH}
        };
        phase(
                "one block",
                positions,
                block,
                () -> model.forward(some).startAtLayer(BenchCase.LAYER, resid).stopAtLayer(BenchCase.LAYER + 1));
        phase(
                "loss",
                positions - batch,
                new int[][] {{BenchCommand.WIDTH, BenchCase.VOCABULARY}},
                () -> model.forward(some)
                        .startAtLayer(BenchCommand.LAYERS - 1, resid)
                        .lossPerToken(),
                () -> model.forward(some)
                        .startAtLayer(BenchCommand.LAYERS - 1, resid)
                        .stopAtLayer(BenchCommand.LAYERS));
        Tensor chunk = resid.reshape(-1, BenchCommand.WIDTH).slice(0, 0, encoded);
        phase("encode", encoded, new int[][] {{BenchCommand.WIDTH, BenchCase.FEATURES}}, () -> sae.encode(chunk));
        Tensor features = sae.encode(chunk);
        double decode =
                timer.time(() -> BenchTimer.scoped(() -> sae.decode(features))).seconds();
        System.out.printf(
                Locale.ROOT,
                "  %-28s %9s %9.3f %9.1f   the product of all would be %.2f GFLOP%n%n",
                "decode",
                "-",
                (double) encoded * BenchCommand.L0 * BenchCommand.WIDTH * 4 / BenchTimer.GIGA,
                decode * 1e3,
                2.0 * encoded * BenchCase.FEATURES * BenchCommand.WIDTH / BenchTimer.GIGA);
    }

    private void phase(String name, int rows, int[][] products, Runnable work) {
        phase(name, rows, products, work, null);
    }

    /**
     * Times a phase and the loop of its products in turns, and prints the share of the loop in the phase's time.
     *
     * @param work   runs the phase
     * @param before runs the part of {@code work} that does not belong to the phase, whose time is subtracted; null if
     *     there is none
     */
    private void phase(String name, int rows, int[][] products, Runnable work, Runnable before) {
        double flop = 0;
        double bytes = 0;
        try (var _ = TensorScope.open()) {
            List<Tensor[]> operands = new ArrayList<>();
            for (int[] product : products) {
                flop += 2.0 * rows * product[0] * product[1];
                bytes += (double) dtype.bytes()
                        * ((long) rows * product[0] + (long) product[0] * product[1] + (long) rows * product[1]);
                operands.add(new Tensor[] {random(rows, product[0]), random(product[0], product[1])});
            }
            double[] ratios = new double[timer.repeats()];
            double[] seconds = new double[timer.repeats()];
            for (int i = -1; i < timer.repeats(); i++) {
                double loop =
                        timer.seconds(() -> operands.forEach(pair -> BenchTimer.scoped(() -> pair[0].matmul(pair[1]))));
                double own = timer.seconds(() -> BenchTimer.scoped(work))
                        - (before == null ? 0 : timer.seconds(() -> BenchTimer.scoped(before)));
                if (i < 0) continue;
                ratios[i] = loop / own;
                seconds[i] = own;
            }
            Arrays.sort(ratios);
            Arrays.sort(seconds);
            double median = seconds[timer.repeats() / 2];
            double share = ratios[timer.repeats() / 2];
            System.out.printf(
                    Locale.ROOT,
                    "  %-28s %9.2f %9.3f %9.1f %12.0f %9.0f%%%n",
                    name,
                    flop / BenchTimer.GIGA,
                    bytes / BenchTimer.GIGA,
                    median * 1e3,
                    flop / median / BenchTimer.GIGA,
                    100 * share);
            timer.put("gemm_share_" + name.replace(' ', '_'), share);
        }
    }

    private Tensor random(int rows, int columns) {
        return Op.of("aten::randn", "")
                .tensor(new long[] {rows, columns})
                .to(dtype)
                .to(device);
    }

    private double bandwidth() {
        try (var _ = TensorScope.open()) {
            Tensor from = Tensor.zeros(DType.FLOAT32, Shape.of(1 << 26), device);
            Tensor to = Tensor.zeros(DType.FLOAT32, Shape.of(1 << 26), device);
            double best = Double.MAX_VALUE;
            for (int i = 0; i < 5; i++) best = Math.min(best, timer.seconds(() -> to.copy_(from)));
            return 2.0 * 4 * (1 << 26) / best / BenchTimer.GIGA;
        }
    }
}
