package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.data.Dataset;
import io.github.panascope.hub.Hub;
import io.github.panascope.lens.Edits;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.Hook;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The examples of src/demo/examples run on the demo bundle, and print what is computed here in another way: by the
 * peers, from the weights, or with hooks that are written out.
 */
@ExtendWith(LeakCheck.class)
class ExamplesTest {
    private static final String PROMPT = "When John and Mary went to the shops, John gave the bag to";
    private static final String HOOK = "blocks.2.hook_resid_pre";

    @TempDir
    private static Path folder;

    private static Examples examples;
    private static HookedTransformer model;
    private static Sae sae;
    private static Locale before;

    @BeforeAll
    static void load() throws IOException {
        before = Locale.getDefault();
        Locale.setDefault(Locale.ROOT);
        examples = Examples.compile(folder);
        model = HookedTransformer.fromPretrained(Examples.MODEL);
        sae = Sae.fromPretrained(Examples.SAE);
    }

    @AfterAll
    static void close() throws IOException {
        sae.close();
        model.close();
        examples.close();
        Locale.setDefault(before);
    }

    /** The groups of the lines that match a pattern whole, of which there have to be as many as said. */
    private static List<MatchResult> rows(List<String> printed, String pattern, int count) {
        List<MatchResult> found = printed.stream()
                .map(Pattern.compile(pattern)::matcher)
                .filter(line -> line.matches())
                .map(line -> line.toMatchResult())
                .toList();
        assertEquals(count, found.size(), () -> pattern + " in\n" + String.join("\n", printed));
        return found;
    }

    private static double number(MatchResult row, int group) {
        return Double.parseDouble(row.group(group));
    }

    /** The logits after the last token, [d_vocab]. */
    private static Tensor next(Tensor tokens, Hooks hooks) {
        long length = tokens.size(1);
        return model.forward(tokens).hooks(hooks).logits(length - 1, length).reshape(-1);
    }

    /** The logit of Mary minus that of John after the last token. */
    private static double difference(Tensor tokens, Hooks hooks) {
        Tensor next = next(tokens, hooks);
        return next.select(0, model.toSingleToken(" Mary")).item()
                - next.select(0, model.toSingleToken(" John")).item();
    }

    /** The features by the formula of the SAE, from its weights. */
    private static Tensor encode(Tensor activation) {
        return activation
                .sub(sae.weight("b_dec"))
                .matmul(sae.weight("W_enc"))
                .add(sae.weight("b_enc"))
                .relu();
    }

    /** The activation at the SAE's hook point. */
    private static Tensor activation(Tensor tokens) {
        Forward run = model.forward(tokens).caching(HOOK);
        run.stopAtLayer(3);
        return run.cache().get(HOOK);
    }

    private static TokenDataset rowsOfTheDemo() {
        return TokenDataset.tokenizeAndConcatenate(
                Dataset.of(Examples.DATASET, Hub.fromEnvironment())::forEach,
                model.tokenizer(),
                ChunkingStrategy.CHARACTER_CHUNKS,
                128);
    }

    /** Returns what the heat map shows in its cells, row by row. */
    private static double[] cells(Path svg) throws IOException {
        return Pattern.compile("<title>[^<]*: ([^<:]*)</title>")
                .matcher(Files.readString(svg))
                .results()
                .mapToDouble(cell -> number(cell, 1))
                .toArray();
    }

    private static void assertClose(double[] expected, double[] found, double tolerance) {
        assertEquals(expected.length, found.length);
        for (int i = 0; i < expected.length; i++) assertEquals(expected[i], found[i], tolerance, "number " + i);
    }

    @Test
    void theTutorialPrintsWhatTheFormulasGive() throws Exception {
        List<String> printed = examples.run("Tutorial");
        List<MatchResult> numbers = rows(printed, "(?:average|loss of|  with) .*? ([0-9.]+)", 4);
        try (var _ = TensorScope.open()) {
            Tensor tokens = rowsOfTheDemo().batch(0, 32);
            Tensor activation = model.forward(tokens).activation(HOOK);
            Tensor features = encode(activation);
            Tensor active = features.gt(0).sum(-1, false).slice(1, 1, 128);
            assertEquals(active.to(DType.FLOAT64).mean().item(), number(numbers.get(0), 1), 0.0051);
            Tensor output = features.matmul(sae.weight("W_dec")).add(sae.weight("b_dec"));
            List<Hook> replacements = List.of(
                    (original, _) -> original, (_, _) -> output, (original, _) -> original.zerosLike());
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
        JsonNode peers = JsonMapper.shared().readTree(Files.readString(Path.of("src/demo/bundle/expected.json")));
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
        List<String> printed = examples.run("IoiPatching", Examples.MODEL, folder.toString());
        try (var _ = TensorScope.open()) {
            Tensor clean = model.toTokens(PROMPT);
            Tensor corrupted = model.toTokens(PROMPT.replace("John gave", "Mary gave"));
            Forward cleanRun = model.forward(clean).caching(name -> true);
            cleanRun.stopAtLayer(4);
            double whenClean = difference(clean, Hooks.NONE);
            double whenCorrupted = difference(corrupted, Hooks.NONE);
            MatchResult both = rows(printed, "logit .*: clean (\\S+), corrupted (\\S+)", 1).getFirst();
            assertEquals(whenClean, number(both, 1), 0.006);
            assertEquals(whenCorrupted, number(both, 2), 0.006);
            double[] heads = new double[16];
            double[] stream = new double[4 * (int) clean.size(1)];
            for (int i = 0; i < heads.length; i++) {
                String point = "blocks." + i / 4 + ".attn.hook_z";
                Hook patch = Edits.atHead(i % 4, Edits.replace(cleanRun.cache().get(point).select(2, i % 4)));
                heads[i] = difference(corrupted, Hooks.at(point, patch));
            }
            for (int i = 0; i < stream.length; i++) {
                int position = i % (int) clean.size(1);
                String point = "blocks." + i / (int) clean.size(1) + ".hook_resid_pre";
                Tensor from = cleanRun.cache().get(point).select(1, position);
                stream[i] = difference(corrupted, Hooks.at(point, Edits.atPosition(position, Edits.replace(from))));
            }
            for (double[] some : List.of(heads, stream))
                for (int i = 0; i < some.length; i++)
                    some[i] = (some[i] - whenCorrupted) / (whenClean - whenCorrupted);
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
        List<String> printed = examples.run("LogitLens", Examples.MODEL, PROMPT, " Mary", folder.toString());
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

    /** Chooses the most probable token 24 times, with the direction added at every position of every run. */
    private static String steered(String point, Tensor addition, String prompt) {
        List<Integer> ids = new ArrayList<>();
        for (int id : model.toTokens(prompt).toInts()) ids.add(id);
        for (int i = 0; i < 24 && (i == 0 || ids.getLast() != model.tokenizer().endOfText()); i++) {
            try (var _ = TensorScope.open()) {
                Tensor tokens = Tensor.ofTokens(ids.stream().mapToInt(id -> id).toArray())
                        .reshape(1, -1);
                Hooks hooks = Hooks.at(point, (activation, _) -> activation.add(addition));
                ids.add((int) next(tokens, hooks).argmax(0).item());
            }
        }
        return model.tokenizer()
                .decode(ids.stream()
                        .filter(id -> id != model.tokenizer().endOfText())
                        .mapToInt(id -> id)
                        .toArray());
    }

    @Test
    void steeringIsAnAdditionAtEveryStep() throws Exception {
        String prompt = "Once upon a time, there was a";
        List<String> printed = examples.run("Steering");
        try (var _ = TensorScope.open()) {
            Tensor direction = sae.weight("W_dec").select(0, 81);
            List<MatchResult> texts = rows(printed, " *([0-9.]+)  (Once.*)", 4);
            for (MatchResult text : texts)
                assertEquals(
                        steered(HOOK, direction.mul(number(text, 1)), prompt).replace("\n", "\\n"), text.group(2));
            assertEquals("0.0", texts.getFirst().group(1));
            assertTrue(
                    texts.stream().skip(1).noneMatch(text -> text.group(2)
                            .equals(texts.getFirst().group(2))),
                    "each strength changes the text");
            String late = steered("blocks.3.hook_resid_pre", direction.mul(8), prompt);
            assertTrue(String.join("\n", printed).endsWith("\n      " + late), () -> String.join("\n", printed));
            float[] logits =
                    direction.unsqueeze(0).matmul(model.weight("unembed.W_U")).toFloats();
            Integer[] order = new Integer[logits.length];
            Arrays.setAll(order, i -> i);
            Arrays.sort(order, Comparator.comparingDouble(i -> -logits[i]));
            int[] first = Arrays.stream(order).limit(8).mapToInt(i -> i).toArray();
            assertEquals(
                    "feature 81 promotes " + model.tokenizer().tokens(first), printed.getFirst());
        }
    }

    @Test
    void ablationSubtractsTheFeaturesDirection() throws Exception {
        List<String> printed = examples.run("FeatureAblation");
        List<MatchResult> lines = rows(printed, "(\\S+ ?\\d*) +([0-9.]+) +([0-9.]+)% +([0-9.]+)   '(.*)'", 10);
        try (var _ = TensorScope.open()) {
            Tensor tokens = model.toTokens(PROMPT);
            Tensor features = encode(activation(tokens)); // [1, pos, d_sae]
            float[] sums = features.select(0, 0).slice(0, 1, tokens.size(1)).sum(0, false).toFloats();
            Tensor all = activation(tokens).zerosLike();
            for (int i = 0; i < lines.size(); i++) {
                MatchResult line = lines.get(i);
                Tensor removed = all;
                if (i > 0 && i < 9) {
                    int feature = Integer.parseInt(line.group(1).replace("feature ", ""));
                    assertEquals(sums[feature], number(line, 2), 0.006);
                    int larger = 0;
                    for (float sum : sums) if (sum > sums[feature]) larger++;
                    assertEquals(i - 1, larger, "the strongest come first");
                    removed = features.select(2, feature).unsqueeze(2).mul(sae.weight("W_dec").select(0, feature));
                    all = all.add(removed);
                }
                Tensor less = removed;
                Hooks without = Hooks.at(HOOK, (activation, _) -> activation.sub(less));
                Tensor probabilities = next(tokens, without).softmax(0);
                assertEquals(
                        100 * probabilities.select(0, model.toSingleToken(" Mary")).item(), number(line, 3), 0.006);
                assertEquals(model.forward(tokens).hooks(without).loss(), number(line, 4), 6e-5);
                assertEquals(model.toSingleStrToken((int) probabilities.argmax(0).item()), line.group(5));
            }
        }
    }

    @Test
    void theTopExamplesAreTheLargestActivations() throws Exception {
        List<String> printed = examples.run("TopExamples");
        record Place(float activation, int row, int position) {}
        List<Place> places = new ArrayList<>();
        TokenDataset tokens = rowsOfTheDemo();
        try (var _ = TensorScope.open()) {
            float[] column = encode(activation(tokens.batch(0, 256))).select(2, 8).toFloats();
            for (int i = 0; i < column.length; i++)
                if (column[i] > 0) places.add(new Place(column[i], i / 128, i % 128));
        }
        places.sort(Comparator.comparingDouble(Place::activation).reversed());
        assertEquals("feature 8 is active at " + places.size() + " of 32768 positions", printed.getFirst());
        List<MatchResult> lines = rows(printed, " *([0-9.]+)  row +(\\d+)  (.*)\\[\\[(.*)\\]\\](.*)", 10);
        for (int i = 0; i < lines.size(); i++) {
            MatchResult line = lines.get(i);
            assertEquals(places.get(i).activation(), number(line, 1), 0.006);
            Place place = places.stream()
                    .filter(each -> each.row() == (int) number(line, 2)
                            && Math.abs(each.activation() - number(line, 1)) < 0.006)
                    .findFirst()
                    .orElseThrow();
            int[] row = tokens.row(place.row());
            assertEquals(model.tokenizer().decode(row[place.position()]), line.group(4));
            int from = Math.max(0, place.position() - 8);
            int end = Math.min(row.length, place.position() + 9);
            assertEquals(
                    model.tokenizer().decode(Arrays.copyOfRange(row, from, end)).replace("\n", "\\n"),
                    line.group(3) + line.group(4) + line.group(5));
        }
    }

    /** Parts add up to the difference; the gradient is a small step, the ablation a whole one along the direction. */
    @Test
    void attributionsAreTheChangesThatStepsMake() throws Exception {
        String[] arguments = {Examples.MODEL, Examples.SAE, PROMPT, " Mary", " John", folder.toString()};
        List<String> printed = examples.run("Attribution", arguments);
        try (var _ = TensorScope.open()) {
            Tensor tokens = model.toTokens(PROMPT);
            double whole = difference(tokens, Hooks.NONE);
            Tensor bias = model.weight("unembed.b_U");
            double constant = bias.select(0, model.toSingleToken(" Mary")).item()
                    - bias.select(0, model.toSingleToken(" John")).item();
            double sum = constant;
            for (MatchResult part : rows(printed, "  (\\w+) +(-?[0-9.]+)", 10)) sum += number(part, 2);
            assertEquals(whole, sum, 10 * 0.005);

            Tensor features = encode(activation(tokens));
            List<String> words = model.toStrTokens(tokens);
            for (MatchResult line : rows(printed, "(.*?) +(\\d+) +([0-9.]+) +(-?[0-9.]+) +(-?[0-9.]+)", 10)) {
                int feature = (int) number(line, 2);
                float[] column = features.select(2, feature).toFloats();
                int position = 0;
                while (!words.get(position).equals(line.group(1))
                        || Math.abs(column[position] - number(line, 3)) > 0.006) position++;
                Tensor direction = sae.weight("W_dec").select(0, feature).mul(column[position]);
                assertEquals(
                        whole - stepped(tokens, position, direction.mul(-1)), number(line, 5), 0.006, line.group());
                double slope = (stepped(tokens, position, direction.mul(0.01))
                                - stepped(tokens, position, direction.mul(-0.01)))
                        / 0.02;
                assertEquals(slope, number(line, 4), 0.01, line.group());
            }
            Forward run = model.forward(tokens).caching(name -> true);
            run.logits();
            double[] heads = cells(folder.resolve("head_logits.svg"));
            assertEquals(16, heads.length);
            for (int head = 0; head < heads.length; head++)
                assertEquals(written(run, head / 4, head % 4), heads[head], 1e-3, "head " + head);
        }
    }

    /** The difference with something added to the activation at one position. */
    private static double stepped(Tensor tokens, int position, Tensor addition) {
        Hook step = Edits.atPosition(position, (activation, _) -> activation.add(addition));
        return difference(tokens, Hooks.at(HOOK, step));
    }

    /** What a head writes at the last position, centred and divided by the last scale, along the two tokens' columns. */
    private static double written(Forward run, int layer, int head) {
        String block = "blocks." + layer + ".attn.";
        long last = run.cache().get("hook_embed").size(1) - 1;
        Tensor z = run.cache().get(block + "hook_z").select(0, 0).select(0, last).slice(0, head, head + 1);
        float[] output = z.matmul(model.weight(block + "W_O").select(0, head)).toFloats();
        double scale = run.cache().get("ln_final.hook_scale").select(1, last).item();
        float[] mary = model.weight("unembed.W_U")
                .select(1, model.toSingleToken(" Mary"))
                .toFloats();
        float[] john = model.weight("unembed.W_U")
                .select(1, model.toSingleToken(" John"))
                .toFloats();
        double mean = 0;
        for (float each : output) mean += each / output.length;
        double sum = 0;
        for (int i = 0; i < output.length; i++) sum += (output[i] - mean) / scale * (mary[i] - john[i]);
        return sum;
    }

    @Test
    void eachHasATestAndASectionOfThePage() throws IOException {
        assertEquals(
                List.of(
                        "Attribution",
                        "FeatureAblation",
                        "FeatureService",
                        "IoiPatching",
                        "LogitLens",
                        "Steering",
                        "TopExamples",
                        "Tutorial"),
                Examples.names());
    }
}
