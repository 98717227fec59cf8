package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Scopes and native handles that stay open are named with the place where they were opened, if that is asked for. */
class OpenHandlesTest {
    private static String printed;

    /** What leaks in a JVM of its own: the switch is read once. */
    static final class Leaks {
        private Leaks() {}

        public static void main(String[] arguments) {
            long mark;
            try (var _ = TensorScope.open()) {
                Tensor early = Tensor.of(new float[] {0}, Shape.of(1));
                mark = OpenHandles.mark();
                leakTensor();
                leakHooks();
                closeAll(early);
                System.out.println(OpenHandles.openedSince(mark));
            }
            System.out.println("tensors after their scope: "
                    + HandleTraces.openSince(mark).stream()
                            .filter(stack -> stack.getMessage().equals("a tensor"))
                            .count());
        }

        private static Tensor leakTensor() {
            return Tensor.of(new float[] {1}, Shape.of(1));
        }

        private static RunHooks leakHooks() {
            return new RunHooks(List.of("hook"), (name, activation) -> null);
        }

        private static void closeAll(Tensor tensor) {
            try (TensorScope scope = TensorScope.open()) {
                tensor.add(1);
                scope.adopt(tensor);
            }
            tensor.toDlpack().close();
            tensor.toArrow("x").close();
            tensor.transferToHost().close();
            new RunHooks(List.of("hook"), (name, activation) -> null).close();
            tensor.add(1).free();
        }
    }

    @BeforeAll
    static void leak() throws IOException, InterruptedException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-Dpanascope.traceHandles=true",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Leaks.class.getName())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), printed);
    }

    @Test
    void aTensorIsNamedWithItsStack() {
        assertTrue(printed.matches("(?s).*a tensor\\R(    at .*\\R)*    at \\S*Leaks\\.leakTensor\\(.*"), printed);
    }

    @Test
    void aSetOfHooksIsNamedWithItsStack() {
        assertTrue(printed.matches("(?s).*a set of hooks\\R(    at .*\\R)*    at \\S*Leaks\\.leakHooks\\(.*"), printed);
    }

    @Test
    void whatWasClosedOrOpenedEarlierIsNotNamed() {
        assertEquals(
                2,
                printed.lines()
                        .filter(line -> line.startsWith("a ") || line.startsWith("an "))
                        .count(),
                printed);
        assertFalse(printed.contains("closeAll"), printed);
    }

    @Test
    void aScopeForgetsItsTensors() {
        assertTrue(printed.contains("tensors after their scope: 0"), printed);
    }

    @Test
    void withoutTheSwitchItIsNamedHowToSetIt() {
        assertTrue(HandleTraces.ON || OpenHandles.openedSince(0).contains("-Dpanascope.traceHandles=true"));
    }
}
