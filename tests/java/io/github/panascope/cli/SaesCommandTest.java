package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code panascope saes} as a user has it. */
@ExtendWith(LeakCheck.class)
class SaesCommandTest {
    @TempDir
    private Path folder;

    @RegisterExtension
    private final CapturedOutput console = new CapturedOutput();

    @Test
    void theRegistryIsListed() {
        assertEquals(0, Main.run("saes"), console::complaint);
        assertTrue(console.output().contains("170 releases, 13857 SAEs."), console::output);
    }

    @Test
    void theRegistryIsSearchedByModelAndWords() {
        assertEquals(0, Main.run("saes", "--model", "gpt2-small", "res-jb", "blocks.8"), console::complaint);
        assertTrue(
                console.output().contains("gpt2-small-res-jb/blocks.8.hook_resid_pre")
                        && console.output().contains("gpt2-small/8-res-jb"),
                console::output);
    }

    @Test
    void aRegistryOfOnesOwnIsListedAsJson() throws IOException {
        Path own = Files.writeString(
                folder.resolve("own.yaml"),
                "ours:\n"
                        + "  repo_id: me/mine\n"
                        + "  model: gpt2-small\n"
                        + "  saes:\n"
                        + "  - id: first\n"
                        + "    path: a/b\n"
                        + "    l0: 12.5\n");
        assertEquals(0, Main.run("saes", "--registry", own.toString(), "--json", "ours"), console::complaint);
        JsonNode line = JsonMapper.shared().readTree(console.output()).get(0);
        assertEquals("ours/first", line.get("sae").stringValue());
        assertEquals(12.5, line.get("l0").doubleValue());
        assertTrue(line.get("supported").booleanValue());
    }

    @Test
    void theFiltersCombine() {
        assertEquals(
                0,
                Main.run("saes", "--model", "gemma-3-4b-pt", "--width", "16k", "--hook", "blocks.17.hook_resid_post"),
                console::complaint);
        assertEquals(
                List.of(
                        "gemma-scope-2-4b-pt-res/layer_17_width_16k_l0_big",
                        "gemma-scope-2-4b-pt-res/layer_17_width_16k_l0_medium",
                        "gemma-scope-2-4b-pt-res/layer_17_width_16k_l0_small",
                        "gemma-scope-2-4b-pt-res-all/layer_17_width_16k_l0_big",
                        "gemma-scope-2-4b-pt-res-all/layer_17_width_16k_l0_small"),
                listed());
        assertTrue(console.output().contains("16384"), console::output);
    }

    @Test
    void onlyThoseWithAPageAreListed() {
        String[] command = {"saes", "--model", "gemma-2-2b", "--width", "16k", "--hook", "attn.hook_z", "--neuronpedia"
        };
        assertEquals(0, Main.run(command), console::complaint);
        assertEquals(26, listed().size(), console::output);
        assertTrue(console.output().contains("gemma-2-2b/3-gemmascope-att-16k"), console::output);
    }

    /** A table of thousands of SAEs is one of releases, unless each is asked for. */
    @Test
    void manySaesAreShownByRelease() {
        assertEquals(0, Main.run("saes", "--hook", "hook_resid_post"), console::complaint);
        assertTrue(console.output().lines().count() < 100, console::output);
        assertTrue(console.output().contains("gemma-scope-2b-pt-res-canonical"), console::output);
    }

    @Test
    void allSaesAreListedOnRequest() {
        assertEquals(0, Main.run("saes", "--all"), console::complaint);
        assertEquals(13_857, listed().size());
        long wide = console.output().lines().filter(line -> line.length() > 170).count();
        assertTrue(wide < 13_857 / 5, wide + " lines have more than 170 characters");
    }

    private List<String> listed() {
        return console.output()
                .lines()
                .skip(1)
                .map(line -> line.split(" ", 2)[0])
                .filter(name -> name.contains("/"))
                .toList();
    }

    @Test
    void whatIsNoWidthIsRefusedAndNothingFoundIsSaid() {
        assertEquals(2, Main.run("saes", "--width", "wide"));
        assertTrue(console.complaint().contains("--width should be a number of features"), console::complaint);
        assertEquals(2, Main.run("saes", "--model", "gpt2-small", "--width", "1m", "res"));
        assertTrue(
                console.complaint().contains("no SAE of the registry matches res --model gpt2-small --width 1m."),
                console::complaint);
    }

    @Test
    void aModelThatIsMisspeltGetsASuggestion() {
        assertEquals(2, Main.run("saes", "--model", "gpt2-smal"));
        assertTrue(console.complaint().contains("Did you mean 'gpt2-small'?"), console::complaint);
    }
}
