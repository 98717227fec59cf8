package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.sae.Sae;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What is printed of a prompt and its answer, against TransformerLens. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class TestPromptTest {
    private static final Golden GOLDEN = Golden.standardA();

    @Test
    void underAReconstructionItPrintsWhatThePeersPrint() {
        try (HookedTransformer model = GOLDEN.loadModel();
                Sae sae = Sae.fromPretrained(
                        "gpt2-small-res-jb/blocks.2.hook_resid_pre",
                        Sae.Options.DEFAULT.device(TestDevice.DEVICE).hub(GOLDEN.hub()))) {
            Hooks reconstruct = Hooks.at(sae.config().hookName(), (activation, name) -> sae.reconstruct(activation));
            assertEquals(
                    GOLDEN.text("test_prompt_reconstructed"),
                    TestPrompt.run(
                                    model,
                                    "When John and Mary went to the shops, John gave the bag to",
                                    List.of(" Mary"),
                                    reconstruct,
                                    10)
                            .format());
        }
    }
}
