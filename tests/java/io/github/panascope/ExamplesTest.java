package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.lens.Edits;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.Hook;
import io.github.panascope.lens.Hooks;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The examples of src/demo/examples run on the demo bundle, and print what is computed here in another way: by the
 * peers, from the weights, or with hooks that are written out.
 */
class ExamplesTest extends ExamplesFixture {
    @Test
    void theTutorialPrintsWhatTheFormulasGive() throws Exception {
        List<String> printed = run("Tutorial");
        List<MatchResult> numbers = rows(printed, "(?:average|loss of|  with) .*? ([0-9.]+)", 4);
        try (var _ = TensorScope.open()) {
            Tensor tokens = rowsOfTheDemo().batch(0, 32);
            Tensor activation = model.forward(tokens).activation(HOOK);
            Tensor features = encode(activation);
            Tensor active = features.gt(0).sum(-1, false).slice(1, 1, 128);
            assertEquals(active.to(DType.FLOAT64).mean().item(), number(numbers.get(0), 1), 0.0051);
            Tensor output = features.matmul(sae.weight("W_dec")).add(sae.weight("b_dec"));
            List<Hook> replacements =
                    List.of((original, _) -> original, (_, _) -> output, (original, _) -> original.zerosLike());
            for (int i = 0; i < replacements.size(); i++)
                assertEquals(
                        model.forward(tokens)
                                .hooks(Hooks.at(HOOK, replacements.get(i)))
                                .loss(),
                        number(numbers.get(i + 1), 1),
                        6e-5);
            int[] counts = active.toInts();
            int inBars = 0;
            for (MatchResult bar : rows(printed, " +(\\d+) to +(\\d+) +(\\d+)  \\**", 10)) {
                long inside = Arrays.stream(counts)
                        .filter(count -> count >= number(bar, 1) && count <= number(bar, 2))
                        .count();
                assertEquals(inside, (long) number(bar, 3), bar.group());
                inBars += (int) inside;
            }
            assertEquals(counts.length, inBars);
        }
        JsonNode peers = JsonMapper.shared()
                .readTree(Files.readString(Examples.DEMO.folder().resolve("expected.json")));
        List<MatchResult> best = rows(printed, " +([0-9.]+)%  ' Mary'", 2);
        for (int i = 0; i < 2; i++)
            assertTrue(
                    peers.get(i == 0 ? "test_prompt" : "test_prompt_reconstructed")
                            .stringValue()
                            .contains("Prob: " + best.get(i).group(1)),
                    best.get(i).group());
    }

    @Test
    void patchingFindsWhatHooksWrittenOutFind() throws Exception {
        List<String> printed = run("IoiPatching", Examples.DEMO.model(), folder.toString());
        try (var _ = TensorScope.open()) {
            Tensor clean = model.toTokens(PROMPT);
            Tensor corrupted = model.toTokens(PROMPT.replace("John gave", "Mary gave"));
            Forward cleanRun = model.forward(clean).caching(name -> true);
            cleanRun.stopAtLayer(4);
            double whenClean = difference(clean, Hooks.NONE);
            double whenCorrupted = difference(corrupted, Hooks.NONE);
            MatchResult both =
                    rows(printed, "logit .*: clean (\\S+), corrupted (\\S+)", 1).getFirst();
            assertEquals(whenClean, number(both, 1), 0.006);
            assertEquals(whenCorrupted, number(both, 2), 0.006);
            double[] heads = new double[16];
            double[] stream = new double[4 * (int) clean.size(1)];
            for (int i = 0; i < heads.length; i++) {
                String point = "blocks." + i / 4 + ".attn.hook_z";
                Hook patch = Edits.atHead(
                        i % 4, Edits.replace(cleanRun.cache().get(point).select(2, i % 4)));
                heads[i] = difference(corrupted, Hooks.at(point, patch));
            }
            for (int i = 0; i < stream.length; i++) {
                int position = i % (int) clean.size(1);
                String point = "blocks." + i / (int) clean.size(1) + ".hook_resid_pre";
                Tensor from = cleanRun.cache().get(point).select(1, position);
                stream[i] = difference(corrupted, Hooks.at(point, Edits.atPosition(position, Edits.replace(from))));
            }
            for (double[] some : List.of(heads, stream))
                for (int i = 0; i < some.length; i++) some[i] = (some[i] - whenCorrupted) / (whenClean - whenCorrupted);
            assertClose(heads, cells(folder.resolve("ioi_heads.svg")), 1e-3);
            assertClose(stream, cells(folder.resolve("ioi_positions.svg")), 1e-3);
            double[] sorted = Arrays.stream(heads).sorted().toArray();
            List<MatchResult> best = rows(printed, "  L(\\d)H(\\d) +(-?[0-9.]+)", 5);
            for (int i = 0; i < best.size(); i++) {
                int head = 4 * (int) number(best.get(i), 1) + (int) number(best.get(i), 2);
                assertEquals(sorted[sorted.length - 1 - i], heads[head]);
                assertEquals(heads[head], number(best.get(i), 3), 0.006);
            }
        }
    }

    /** The lens before a block is the model in which that block and all later ones write nothing. */
    @Test
    void theLogitLensIsAModelWhoseLaterBlocksWriteNothing() throws Exception {
        List<String> printed = run("LogitLens", Examples.DEMO.model(), PROMPT, " Mary", folder.toString());
        List<MatchResult> states = rows(printed, "(\\S+) +([0-9.]+)% +([0-9.]+)% '(.*)'", 5);
        double[] cells = cells(folder.resolve("logit_lens.svg"));
        try (var _ = TensorScope.open()) {
            Tensor tokens = model.toTokens(PROMPT + " Mary");
            int[] ids = tokens.toInts();
            int predicted = ids.length - 1;
            assertEquals(5 * predicted, cells.length);
            for (int state = 0; state < 5; state++) {
                int ended = state;
                Hooks silent = Hooks.where(
                        name -> name.matches("blocks\\.[" + ended + "-9]\\.hook_(attn|mlp)_out"), Edits.zero());
                Tensor probabilities =
                        model.runWithHooks(tokens, silent).select(0, 0).softmax(-1);
                Tensor last = probabilities.select(0, predicted - 1);
                assertEquals(100 * last.select(0, ids[predicted]).item(), number(states.get(state), 2), 0.006);
                assertEquals(100 * last.topk(1).values().item(), number(states.get(state), 3), 0.006);
                assertEquals(
                        model.toSingleStrToken((int) last.argmax(0).item()),
                        states.get(state).group(4));
                for (int p = 0; p < predicted; p++)
                    assertEquals(
                            probabilities.select(0, p).select(0, ids[p + 1]).item(),
                            cells[state * predicted + p],
                            1e-3);
            }
        }
        assertEquals("final_post", states.getLast().group(1));
    }

    @Test
    void eachHasASectionOfThePageAndIsShort() throws IOException {
        List<String> sections = Pattern.compile("(?m)^`src/demo/examples/(\\w+)\\.java`")
                .matcher(Files.readString(Examples.PAGE))
                .results()
                .map(section -> section.group(1))
                .sorted()
                .toList();
        assertEquals(Examples.names(), sections);
        for (String name : Examples.names()) {
            List<String> lines = Files.readAllLines(Examples.FOLDER.resolve(name + ".java")).stream()
                    .map(String::strip)
                    .filter(line -> !line.isEmpty() && !line.matches("(import |//|/\\*|\\*).*"))
                    .toList();
            int most = name.equals("FeatureService") ? 120 : 80;
            assertTrue(lines.size() <= most, name + " has " + lines.size() + " lines of code");
            assertEquals(
                    List.of(),
                    lines.stream().filter(line -> line.contains("src/")).toList(),
                    name + " has to run in any folder");
        }
    }
}
