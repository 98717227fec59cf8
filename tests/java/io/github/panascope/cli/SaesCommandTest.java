package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
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
    void aModelThatIsMisspeltGetsASuggestion() {
        assertEquals(2, Main.run("saes", "--model", "gpt2-smal"));
        assertTrue(console.complaint().contains("Did you mean 'gpt2-small'?"), console::complaint);
    }
}
