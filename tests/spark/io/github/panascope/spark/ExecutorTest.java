package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Executors hold the weights that tasks use, and no others for long. */
@Tag("spark")
@ExtendWith(Cluster.class)
class ExecutorTest {
    /** Returns how many models each of four tasks found in its executor, its own included. */
    private static List<Integer> held(ModelAndSae... names) {
        List<ModelAndSae> wanted = List.of(names);
        List<Integer> tasks = IntStream.range(0, 4).boxed().toList();
        return Failures.unwrapped(() -> Cluster.context()
                .parallelize(tasks, 4)
                .map(_ -> {
                    for (ModelAndSae each : wanted)
                        assertTrue(Executor.load(each).model().config().nCtx() > 0);
                    return Executor.held();
                })
                .collect());
    }

    @Test
    void weightsThatNoTaskUsesMakeRoomForOthers() {
        assertEquals(List.of(1, 1, 1, 1), held(ModelAndSae.DEMO.processing("none"))); // closes those of other tests
        ModelAndSae other = ModelAndSae.DEMO.exact(true);
        assertEquals(List.of(1, 1, 1, 1), held(other));
        assertEquals(List.of(2, 2, 2, 2), held(other, ModelAndSae.DEMO));
        assertEquals(List.of(1, 1, 1, 1), held(ModelAndSae.DEMO.dtype("bfloat16")));
        assertEquals(List.of(1, 1, 1, 1), held(ModelAndSae.DEMO));
    }

    @Test
    void whatCannotBeLoadedIsASentence() {
        assertEquals(
                "the model gpt2 is given without an SAE: name the SAE that belongs to it.",
                assertThrows(InputException.class, () -> new ModelAndSae("gpt2", null, "float32", "none", false, "cpu"))
                        .getMessage());
        String message = assertThrows(InputException.class, () -> held(ModelAndSae.of("/no/such/folder")))
                .getMessage();
        assertTrue(message.contains("/no/such/folder") && !message.contains("\n"), message);
        String device = assertThrows(InputException.class, () -> held(ModelAndSae.DEMO.device("cuda:7")))
                .getMessage();
        assertTrue(device.startsWith("the device cuda:7 cannot be used here: "), device);
    }
}
