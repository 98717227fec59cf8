package io.github.panascope.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import com.sun.management.ThreadMXBean;
import io.github.panascope.InputException;
import io.github.panascope.LeakCheck;
import io.github.panascope.data.TextDataset;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/**
 * Damaged files at random: each is read, or refused in one sentence, in little time and memory. The same inputs each
 * time; more and others with {@code -Dpanascope.fuzz.inputs=100000 -Dpanascope.fuzz.seed=7}. What fails is kept in
 * target/fuzz.
 */
@ExtendWith(LeakCheck.class)
class FuzzTest {
    private static final int INPUTS = Integer.getInteger("panascope.fuzz.inputs", 400);
    private static final long SEED = Long.getLong("panascope.fuzz.seed", 1);
    private static final long MAX_NANOS = 10_000_000_000L;
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private static final Path GOLDEN = Path.of("tests/resources/golden");
    private static final Hub OFFLINE = Hub.of(Map.of("HF_HOME", "/nonexistent", "HF_HUB_OFFLINE", "1"));

    @TempDir
    private Path folder;

    private interface Reader {
        void read(Path file) throws IOException;
    }

    /** Makes a file that keeps to the outer rules of its format and lies in what it says. */
    private interface Generator {
        byte[] make(byte[] whole, SplittableRandom random) throws IOException;
    }

    // ------------------------------------------------------------------------------------------------- what is damaged

    @Test
    void safetensors() throws IOException {
        fuzz(
                "x.safetensors",
                8,
                FuzzTest::readTensors,
                Malformed::safetensors,
                GOLDEN.resolve("saes/gated/sae_weights.safetensors"),
                GOLDEN.resolve("weights/safetensors/model.safetensors"));
    }

    @Test
    void picklesAndTheirArchives() throws IOException {
        fuzz(
                "x.pt",
                8,
                FuzzTest::readTensors,
                Malformed::member,
                GOLDEN.resolve("weights/zip/pytorch_model.bin"),
                GOLDEN.resolve("weights/legacy/pytorch_model.bin"),
                GOLDEN.resolve("weights/views.pt"));
    }

    @Test
    void archivesOfArrays() throws IOException {
        Path hub = GOLDEN.resolve("sae_layouts/hub");
        String snapshot = "snapshots/" + "0".repeat(40);
        fuzz(
                "x.npz",
                8,
                FuzzTest::readTensors,
                (whole, random) -> Arrays.copyOf(whole, random.nextInt(whole.length)),
                // Without its first bytes an archive is taken for one of these, whose reader is loaded once.
                GOLDEN.resolve("saes/gated/sae_weights.safetensors"),
                hub.resolve("models--google--gemma-scope-2b-pt-transcoders")
                        .resolve(snapshot)
                        .resolve("layer_0/width_16k/average_l0_76")
                        .resolve("params.npz"),
                hub.resolve("models--google--gemma-scope-9b-it-res")
                        .resolve(snapshot)
                        .resolve("layer_9/width_16k/average_l0_88")
                        .resolve("params.npz"));
    }

    @Test
    void indexesOfShards() throws IOException {
        for (String shard : List.of("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"))
            Files.copy(GOLDEN.resolve("weights/sharded").resolve(shard), folder.resolve(shard));
        fuzz(
                "model.safetensors.index.json",
                32,
                FuzzTest::readTensors,
                Malformed::json,
                GOLDEN.resolve("weights/sharded/model.safetensors.index.json"));
    }

    @Test
    void saeConfigurations() throws IOException {
        Files.copy(
                GOLDEN.resolve("saes/topk_rescaled/sae_weights.safetensors"),
                folder.resolve("sae_weights.safetensors"));
        fuzz(
                "cfg.json",
                8,
                file -> Sae.fromPretrained(folder.toString()).close(),
                Malformed::json,
                GOLDEN.resolve("saes/topk_rescaled/cfg.json"),
                GOLDEN.resolve("topk_d/sae/cfg.json"));
    }

    @Test
    void modelConfigurations() throws IOException {
        Files.copy(GOLDEN.resolve("weights/safetensors/model.safetensors"), folder.resolve("model.safetensors"));
        fuzz(
                "config.json",
                8,
                file -> HookedTransformer.fromPretrained(folder.toString()).close(),
                Malformed::json,
                GOLDEN.resolve("weights/safetensors/config.json"));
    }

    @Test
    void registries() throws IOException {
        fuzz(
                "x.yaml",
                1024, // a bracket is one byte, and 640 of the parser's
                file -> SaeRegistry.bundled().with(file),
                Malformed::json,
                GOLDEN.resolve("saes/registry.yaml"));
    }

    @Test
    void vocabularies() throws IOException {
        Path vocabulary = Files.writeString(
                folder.resolve("small.json"), "{\"a\": 0, \"b\": 1, \"ab\": 2, \"\\u0120\": 3, \"<|endoftext|>\": 4}");
        Path merges = Files.writeString(folder.resolve("merges.txt"), "#version: 0.2\na b\n");
        fuzz("vocab.json", 256, file -> Tokenizer.ofVocabulary(file, merges), Malformed::json, vocabulary);
    }

    @Test
    void tokenizers() throws IOException {
        fuzz(
                "tokenizer.json",
                256,
                Tokenizer::ofTokenizerJson,
                Malformed::json,
                GOLDEN.resolve("tokenizers/tokenizers.json"),
                GOLDEN.resolve("tokenizers/transformers.json"));
    }

    @Test
    void jsonArrays() throws IOException {
        Path json = Files.writeString(
                folder.resolve("array.seed"),
                "[{\"text\": \"one\"}, {\"text\": null, \"n\": NaN}, {\"text\": \"two\", \"tokens\": [1, 2]}]");
        fuzz("array.json", 256, FuzzTest::readDocuments, Malformed::json, json);
    }

    /** Their reader is a library's; the schema is in the last bytes, which are damaged most. */
    @Test
    void parquet() throws IOException {
        Path forms = Path.of("tests/resources/datasets");
        for (String form :
                List.of("none.parquet", "snappy.parquet", "gzip.parquet", "zstd.parquet", "tokens.parquet")) {
            fuzz("x.parquet", Integer.MAX_VALUE, FuzzTest::readDocuments, Malformed::thrift, forms.resolve(form));
        }
    }

    @Test
    void jsonLines() throws IOException {
        Path forms = Path.of("tests/resources/datasets");
        fuzz(
                "x.jsonl",
                256,
                FuzzTest::readDocuments,
                Malformed::lines,
                forms.resolve("texts.jsonl"),
                forms.resolve("tokens.jsonl"));
        fuzz(
                "x.jsonl.gz",
                Integer.MAX_VALUE,
                FuzzTest::readDocuments,
                Malformed::gzip,
                forms.resolve("texts.jsonl.gz"));
        fuzz(
                "x.jsonl.zst",
                Integer.MAX_VALUE,
                FuzzTest::readDocuments,
                Malformed::zstd,
                forms.resolve("texts.jsonl.zst"));
    }

    private static void readTensors(Path file) {
        try (TensorScope scope = TensorScope.open()) {
            StateDict tensors = StateDict.open(file, scope);
            for (String name : tensors.names())
                assertEquals(
                        tensors.shape(name).elements(),
                        tensors.tensor(name).copy().shape().elements());
        }
    }

    private static void readDocuments(Path file) {
        TextDataset dataset = TextDataset.of(file.toString(), OFFLINE);
        if (dataset.isTokenized()) dataset.forEachTokens(ids -> {});
        else dataset.forEach(text -> {});
    }

    // ------------------------------------------------------------------------------------------------- how

    /**
     * {@code times}: how many times the size of the file may be allocated on the heap, above what reading the whole one
     * costs.
     */
    private void fuzz(String name, int times, Reader reader, Generator generator, Path... seeds) throws IOException {
        byte[][] whole = new byte[seeds.length][];
        long usual = 0;
        for (int i = 0; i < seeds.length; i++) {
            whole[i] = Files.readAllBytes(seeds[i]);
            Path file = Files.write(folder.resolve(name), whole[i]);
            for (int round = 0; round < 2; round++) { // classes are loaded in the first
                long before = THREADS.getCurrentThreadAllocatedBytes();
                try {
                    reader.read(file);
                } catch (InputException e) {
                    // the whole one need not fit all that lies beside it
                }
                if (round == 1) usual = Math.max(usual, THREADS.getCurrentThreadAllocatedBytes() - before);
            }
        }
        SplittableRandom random = new SplittableRandom(SEED);
        int refused = 0;
        for (int input = 0; input < INPUTS; input++) {
            byte[] bytes = whole[random.nextInt(whole.length)];
            if (random.nextInt(3) == 0) bytes = generator.make(bytes, random);
            else
                for (int change = random.nextInt(1, 4); change > 0; change--)
                    bytes = mutate(bytes, whole[random.nextInt(whole.length)], random);
            Path file = Files.write(folder.resolve(name), bytes);
            long start = System.nanoTime();
            long before = THREADS.getCurrentThreadAllocatedBytes();
            try {
                reader.read(file);
            } catch (InputException e) {
                refused++;
                String message = e.getMessage();
                if (message.lines().count() != 1 || !message.contains(folder.toString()) || message.length() > 1000)
                    failed(name, input, bytes, e, "its complaint is no sentence with the file's name: " + message);
            } catch (Throwable e) { // whatever it is, it should not be
                failed(name, input, bytes, e, e.toString());
            }
            long allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
            long allowed = 2 * usual + (long) times * bytes.length + (1 << 20);
            if (allocated > allowed)
                failed(
                        name,
                        input,
                        bytes,
                        null,
                        bytes.length + " bytes made it allocate " + allocated + ", where " + allowed + " are enough");
            if (System.nanoTime() - start > MAX_NANOS)
                failed(name, input, bytes, null, "it took " + (System.nanoTime() - start) / 1e9 + " s");
        }
        assertTrue(
                refused > INPUTS / 20,
                "only " + refused + " of " + INPUTS + " inputs were refused: the damage does not reach what is read");
    }

    private static void failed(String name, int input, byte[] bytes, Throwable cause, String what) throws IOException {
        Path kept = Files.createDirectories(Path.of("target/fuzz")).resolve(SEED + "-" + input + "-" + name);
        Files.write(kept, bytes);
        fail(kept + ": " + what, cause);
    }

    /**
     * One damage: bits, bytes, numbers, and pieces that are lost, doubled, put elsewhere or taken from another file;
     * more often at the ends, where formats describe themselves.
     */
    private static byte[] mutate(byte[] from, byte[] other, SplittableRandom random) {
        if (from.length < 16) return other.clone();
        byte[] bytes = from.clone();
        int at = place(bytes.length, random);
        int length = 1 + random.nextInt(Math.min(64, bytes.length - at));
        switch (random.nextInt(9)) {
            case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
            case 1 -> bytes[at] = (byte) random.nextInt(256);
            case 2 -> bytes[at] = new byte[] {0, -1, 127, -128, '"', '{', '[', '\n', '.', '-'}[random.nextInt(10)];
            case 3 -> {
                ByteBuffer number = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
                long value = new long[] {
                            -1,
                            0,
                            Long.MAX_VALUE,
                            Long.MIN_VALUE,
                            Integer.MAX_VALUE,
                            1L << 32,
                            bytes.length,
                            bytes.length - at
                        }
                        [random.nextInt(8)];
                if (random.nextBoolean()) number.putLong(Math.min(at, bytes.length - 8), value);
                else number.putInt(Math.min(at, bytes.length - 4), (int) value);
            }
            case 4 -> bytes = Arrays.copyOf(bytes, at);
            case 5 -> bytes = joined(Arrays.copyOf(bytes, at), Arrays.copyOfRange(from, at + length, from.length));
            case 6 -> bytes = joined(Arrays.copyOf(bytes, at + length), Arrays.copyOfRange(from, at, from.length));
            case 7 ->
                bytes = joined(
                        joined(Arrays.copyOf(bytes, at), new byte[length]), Arrays.copyOfRange(from, at, from.length));
            default -> {
                int there = random.nextInt(other.length);
                System.arraycopy(other, there, bytes, at, Math.min(length, other.length - there));
            }
        }
        return bytes;
    }

    private static int place(int length, SplittableRandom random) {
        return switch (random.nextInt(3)) {
            case 0 -> random.nextInt(Math.min(length, 512));
            case 1 -> length - 1 - random.nextInt(Math.min(length, 512));
            default -> random.nextInt(length);
        };
    }

    private static byte[] joined(byte[] start, byte[] end) {
        byte[] all = Arrays.copyOf(start, start.length + end.length);
        System.arraycopy(end, 0, all, start.length, end.length);
        return all;
    }
}
