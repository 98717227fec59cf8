package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** What a flight recording says of a run. */
@ExtendWith(LeakCheck.class)
class EventsTest {
    private static Map<String, List<RecordedEvent>> byName;

    @BeforeAll
    static void record(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("run.jfr");
        try (Recording recording = new Recording();
                var _ = TensorScope.open();
                HookedTransformer model = Golden.standardA().loadModel(HookedTransformer.Options.DEFAULT)) {
            recording.enable("panascope.Operator").withThreshold(Duration.ZERO);
            for (String name : List.of("Run", "Hook", "Copy", "Allocation")) recording.enable("panascope." + name);
            recording.start();
            Hooks hooks = Hooks.at("blocks.1.hook_resid_pre", (x, name) -> x.mul(2))
                    .and("blocks.2.hook_resid_pre", (x, name) -> null);
            model.forward(model.toTokens("The harbour was quiet"))
                    .hooks(hooks)
                    .caching("blocks.0.hook_resid_pre")
                    .logits()
                    .toFloats();
            Tensor closed = Tensor.of(new float[] {1}, Shape.of(1));
            Tensor open = closed.copy();
            closed.free();
            assertThrows(IllegalStateException.class, () -> open.add(closed)); // and goes on recording
            open.mul(open);
            recording.stop();
            recording.dump(file);
        }
        List<RecordedEvent> events = RecordingFile.readAllEvents(file);
        byName = events.stream()
                .filter(event -> event.getEventType().getName().startsWith("panascope."))
                .collect(Collectors.groupingBy(
                        event -> event.getEventType().getName().substring("panascope.".length())));
    }

    @Test
    void aRunNamesItsSizeAndWhereItEnds() {
        RecordedEvent run = byName.get("Run").getFirst();
        assertEquals(
                List.of(1L, 5L, 3L, 1L),
                List.of(run.getLong("rows"), run.getLong("positions"), (long) run.getInt("endBlock"), (long)
                        run.getInt("kept")));
    }

    @Test
    void anOperatorNamesItsArguments() {
        assertTrue(
                byName.get("Operator").stream()
                        .anyMatch(event -> event.getString("operator").equals("aten::mul.Scalar")
                                && event.getString("arguments").contains("float32[1, 5, 48]")),
                byName.get("Operator").toString());
    }

    @Test
    void aHookNamesItsPointAndWhetherItReplaces() {
        assertEquals(
                List.of(
                        "blocks.0.hook_resid_pre false",
                        "blocks.1.hook_resid_pre true",
                        "blocks.2.hook_resid_pre false"),
                byName.get("Hook").stream()
                        .map(event -> event.getString("point") + " " + event.getBoolean("replaced"))
                        .sorted()
                        .toList());
    }

    @Test
    void aCopyToTheHeapIsRecorded() {
        assertTrue(byName.get("Copy").stream()
                .anyMatch(event -> event.getString("to").equals("heap") && event.getLong("bytes") == 5L * 50257 * 4));
    }

    @Test
    void recordingGoesOnAfterACallThatFailed() {
        assertTrue(byName.get("Allocation").stream()
                .anyMatch(event -> event.getString("operator").equals("aten::mul.Tensor")));
    }

    @Test
    void whatAnOperatorAllocatesIsRecorded() {
        long logits = byName.get("Allocation").stream()
                .filter(event -> event.getString("operator").equals("TorchScript forward"))
                .mapToLong(event -> event.getLong("allocated"))
                .max()
                .orElse(0);
        assertTrue(logits >= 5L * 50257 * 4, "the unembedding allocates the logits: " + logits);
    }
}
