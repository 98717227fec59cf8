package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** {@code panascope check-sae} as a user has it. */
@ExtendWith(LeakCheck.class)
class CheckSaeCommandTest {
    @TempDir
    private Path folder;

    @RegisterExtension
    private final CapturedOutput console = new CapturedOutput();

    @Test
    void anSaeFitsWhatItsAuthorsSay() {
        assertEquals(0, Main.run("check-sae"), console::complaint);
        assertTrue(console.output().contains("It fits."), console::output);
    }

    @Test
    void anSaeThatIsReadInAWrongWayDoesNotFit() throws IOException {
        assertEquals(
                1,
                Main.run(
                        "check-sae",
                        "--model",
                        DemoFixture.model(),
                        "--sae",
                        DemoFixture.changedText(
                                folder,
                                "sae",
                                "cfg.json",
                                "\"normalize_activations\": \"none\"",
                                "\"normalize_activations\": \"layer_norm\"")));
        assertTrue(
                console.complaint()
                        .contains("panascope: L0: expected about 18, got 4: wrong architecture or processing?"),
                console::complaint);
    }

    @Test
    void aModelThatIsNamedIsLoadedAtItsOwnRevisionWithALine() throws IOException {
        String sae = DemoFixture.changedText(
                folder,
                "sae",
                "cfg.json",
                "{\"center_writing_weights\": true}",
                "{\"center_writing_weights\": true, \"checkpoint_value\": 1000, \"revision\": null}");
        Main.run("check-sae", "--rows", "1", "--model", DemoFixture.model(), "--sae", sae);
        assertTrue(
                console.output()
                        .contains("This SAE's authors load its model with {checkpoint_value=1000}; --model "
                                + DemoFixture.model() + " is loaded as it is named."),
                () -> console.output() + console.complaint());
    }
}
