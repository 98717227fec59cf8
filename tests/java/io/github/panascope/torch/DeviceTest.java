package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Devices by name, their memory, and what goes to the host and back. */
@OnEachDevice
@ExtendWith(LeakCheck.class)
class DeviceTest {
    private static final Device DEVICE = TestDevice.DEVICE;

    private static Tensor counting(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) values[i] = i;
        return Tensor.of(values, Shape.of(count), DEVICE);
    }

    @ParameterizedTest
    @CsvSource({
        "cpu, CPU, 0",
        "cuda, CUDA, 0",
        "CUDA:0, CUDA, 0",
        "cuda:12, CUDA, 12",
        "' mps ', MPS, 0",
        "cpu:0, CPU, 0"
    })
    void namesAreReadAsPyTorchWritesThem(String name, Device.Type type, int index) {
        assertEquals(new Device(type, index), Device.parse(name));
        assertEquals(Device.parse(name), Device.parse(Device.parse(name).toString()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1:2", "cuda:9999"})
    void otherNamesAreRefused(String name) {
        assertTrue(assertThrows(IllegalArgumentException.class, () -> Device.parse(name))
                .getMessage()
                .contains("'" + name + "'"));
    }

    @Test
    void aWrongIndexNamesWhatThereIs() {
        List<Device> all = Device.all(DEVICE.type());
        assertTrue(all.contains(DEVICE));
        Device missing = new Device(DEVICE.type(), all.size());
        String message = assertThrows(IllegalArgumentException.class, missing::requireUsable)
                .getMessage();
        for (Device each : all) assertTrue(message.contains(each.toString()), message);
        assertThrows(IndexOutOfBoundsException.class, missing::describe);
        assertThrows(IndexOutOfBoundsException.class, missing::memory);
        assertEquals(DEVICE, DEVICE.requireUsable());
    }

    @Test
    void memoryIsCountedAndGivenBack() {
        DEVICE.trim();
        Device.Memory before = DEVICE.memory();
        try (var _ = TensorScope.open()) {
            Tensor.empty(DType.FLOAT32, Shape.of(64, 1 << 20), DEVICE);
            Device.Memory during = DEVICE.memory();
            long held = DEVICE.isCpu() ? 0 : 256L << 20;
            assertEquals(held, during.allocatedBytes() - before.allocatedBytes());
            assertTrue(during.reservedBytes() >= during.allocatedBytes());
        }
        assertEquals(before.allocatedBytes(), DEVICE.memory().allocatedBytes());
        if (!DEVICE.isCpu())
            assertTrue(
                    DEVICE.memory().reservedBytes() >= before.reservedBytes() + (256L << 20), "kept for later tensors");
        DEVICE.trim();
        assertEquals(before.reservedBytes(), DEVICE.memory().reservedBytes());
        DEVICE.synchronize();
    }

    @Test
    void whatIsOutOfMemorySaysHowMuchAndGoesOn() {
        try (var _ = TensorScope.open()) {
            Shape shape = Shape.of(1L << 42);
            TorchOutOfMemoryException e =
                    assertThrows(TorchOutOfMemoryException.class, () -> Tensor.empty(DType.FLOAT32, shape, DEVICE));
            assertEquals(DEVICE, e.device());
            assertEquals(1L << 44, e.requestedBytes());
            String asked = ": 16384.00 GiB more were asked for";
            assertTrue(
                    e.getMessage()
                            .contains((DEVICE.isCpu() ? "the host" : DEVICE.toString()) + " is out of memory" + asked),
                    e.getMessage());
            assertTrue(
                    e.getMessage().contains(DEVICE.isCpu() ? "; this process uses " : "; tensors use "),
                    e.getMessage());
            assertTrue(
                    e.getMessage().endsWith("Fewer rows at once need less, and bfloat16 needs half"), e.getMessage());
            assertEquals(6, counting(4).sum(0, false).item(), "smaller ones go on");
        }
    }

    @Test
    void aTransferIsWaitedForAndKeepsWhatItCopies() {
        try (var _ = TensorScope.open()) {
            Tensor values = counting(1000);
            try (Transfer transfer = values.transferToHost();
                    Transfer turned = values.reshape(10, 100).t().transferToHost()) {
                values.mul_(values); // behind the copy, or to the same memory on the CPU
                values.free();
                Tensor host = transfer.await();
                assertEquals(Device.CPU, host.device());
                assertEquals(DEVICE.isCpu() ? 999 * 999 : 999, host.toFloats()[999]);
                assertEquals(host.toFloats()[5], transfer.await().toFloats()[5], "again");
                assertArrayEquals(new long[] {100, 10}, turned.await().shape().sizes());
                assertEquals(901, turned.await().toFloats()[19], "row by row");
            }
            Transfer closed = counting(3).transferToHost();
            closed.close();
            closed.close();
            assertThrows(IllegalStateException.class, closed::await);
        }
    }

    @Test
    void readingAheadIsInOrderAndStopsAtAnException() {
        List<Integer> read = new ArrayList<>();
        try (var _ = TensorScope.open();
                ReadAhead ahead = new ReadAhead("testing")) {
            for (int i = 0; i < 4; i++) {
                int number = i;
                ahead.next(() -> counting(2).add(number), found -> read.add((int) found.toFloats()[0]));
                assertEquals(i, read.size(), "one behind");
            }
        }
        assertEquals(List.of(0, 1, 2, 3), read);
        try (var _ = TensorScope.open()) {
            assertEquals(
                    "reading",
                    assertThrows(IllegalStateException.class, () -> {
                                try (ReadAhead ahead = new ReadAhead("testing")) {
                                    ahead.next(() -> counting(1), _ -> {
                                        throw new IllegalStateException("reading");
                                    });
                                    ahead.next(() -> counting(1), _ -> read.add(99));
                                }
                            })
                            .getMessage());
            assertThrows(IllegalArgumentException.class, () -> {
                try (ReadAhead ahead = new ReadAhead("testing")) {
                    ahead.next(() -> counting(1), _ -> read.add(99));
                    ahead.next(
                            () -> {
                                throw new IllegalArgumentException("making");
                            },
                            _ -> {});
                }
            });
        }
        assertEquals(4, read.size(), "nothing is read once something was thrown");
    }

    @Test
    void tensorsGoToADeviceAndBack() {
        try (var _ = TensorScope.open()) {
            for (DType dtype : List.of(DType.FLOAT32, DType.BFLOAT16, DType.INT64, DType.BOOL)) {
                Tensor host = Tensor.of(new float[] {0, 1, 1, 0, 1, 0}, Shape.of(2, 3))
                        .to(dtype);
                Tensor there = host.t().to(DEVICE);
                assertEquals(DEVICE, there.device());
                assertTrue(there.to(Device.CPU).sameElements(host.t()), dtype.toString());
            }
            assertArrayEquals(new int[] {0, 1, 2}, counting(3).toInts());
            try (Dlpack shared = counting(3).toDlpack()) {
                Tensor same = Tensor.fromDlpack(shared);
                assertEquals(DEVICE, same.device());
                assertArrayEquals(new float[] {0, 1, 2}, same.toFloats());
            }
            if (!DEVICE.isCpu())
                assertThrows(IllegalStateException.class, () -> counting(3).segment());
        }
    }

    @Test
    void devicesAreNotMixed() {
        assumeTrue(Device.count(DEVICE.type()) > 1, "one device");
        Device second = new Device(DEVICE.type(), 1);
        try (var _ = TensorScope.open()) {
            Tensor here = counting(3);
            Tensor there = here.to(second);
            assertEquals(second, there.device());
            String message =
                    assertThrows(TorchException.class, () -> here.add(there)).getMessage();
            assertTrue(
                    message.contains("same device") && message.contains("cuda:0") && message.contains("cuda:1"),
                    message);
            assertThrows(TorchException.class, () -> here.add(Tensor.of(new float[3], Shape.of(3))));
            assertArrayEquals(new float[] {0, 2, 4}, there.add(here.to(second)).toFloats());
            assertEquals(second, there.mul(2).device());
        }
    }
}
