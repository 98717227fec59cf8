package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.panascope.data.TextDataset;
import io.github.panascope.hub.Hub;
import io.github.panascope.lens.Edits;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.Hook;
import io.github.panascope.lens.Hooks;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.regex.MatchResult;
import org.junit.jupiter.api.Test;

/** The examples about single features print what is computed here from the SAE's weights, with hooks written out. */
class ExamplesFeaturesTest extends ExamplesFixture {
    /** Chooses the most probable token 12 times, with the direction added at every position of every run. */
    private static String steered(String point, Tensor addition, String prompt) {
        List<Integer> ids = new ArrayList<>();
        for (int id : model.toTokens(prompt).toInts()) ids.add(id);
        for (int i = 0; i < 12 && (i == 0 || ids.getLast() != model.tokenizer().eos()); i++) {
            try (var _ = TensorScope.open()) {
                Tensor tokens = Tensor.ofTokens(ids.stream().mapToInt(id -> id).toArray())
                        .reshape(1, -1);
                Hooks hooks = Hooks.at(point, (activation, _) -> activation.add(addition));
                ids.add((int) next(tokens, hooks).argmax(0).item());
            }
        }
        return model.tokenizer()
                .decode(ids.stream()
                        .filter(id -> id != model.tokenizer().eos())
                        .mapToInt(id -> id)
                        .toArray());
    }

    @Test
    void steeringIsAnAdditionAtEveryStep() throws Exception {
        String prompt = "Once upon a time, there was a";
        List<String> printed = run("Steering");
        try (var _ = TensorScope.open()) {
            Tensor direction = sae.weight("W_dec").select(0, 81);
            List<MatchResult> texts = rows(printed, " *([0-9.]+) ( .*)", 4);
            for (MatchResult text : texts)
                assertEquals(steered(HOOK, direction.mul(number(text, 1)), prompt), prompt + text.group(2));
            assertEquals("0.0", texts.getFirst().group(1));
            assertEquals(4, texts.stream().map(text -> text.group(2)).distinct().count(), "each strength shows");
            assertEquals(
                    steered("blocks.3.hook_resid_pre", direction.mul(8), prompt),
                    prompt + printed.getLast().substring(4));
            float[] logits =
                    direction.unsqueeze(0).matmul(model.weight("unembed.W_U")).toFloats();
            Integer[] order = new Integer[logits.length];
            Arrays.setAll(order, i -> i);
            Arrays.sort(order, Comparator.comparingDouble(i -> -logits[i]));
            int[] first = Arrays.stream(order).limit(8).mapToInt(i -> i).toArray();
            assertEquals("feature 81 promotes " + model.tokenizer().tokens(first), printed.getFirst());
        }
    }

    @Test
    void ablationSubtractsTheFeaturesDirection() throws Exception {
        List<String> printed = run("FeatureAblation");
        List<MatchResult> lines = rows(printed, "(\\S+ ?\\d*) +([0-9.]+) +([0-9.]+)% +([0-9.]+)   '(.*)'", 10);
        try (var _ = TensorScope.open()) {
            Tensor tokens = model.toTokens(PROMPT);
            Tensor features = encode(activation(tokens)); // [1, pos, d_sae]
            float[] sums = features.select(0, 0)
                    .slice(0, 1, tokens.size(1))
                    .sum(0, false)
                    .toFloats();
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
                    removed = features.select(2, feature)
                            .unsqueeze(2)
                            .mul(sae.weight("W_dec").select(0, feature));
                    all = all.add(removed);
                }
                Tensor less = removed;
                Hooks without = Hooks.at(HOOK, (activation, _) -> activation.sub(less));
                Tensor probabilities = next(tokens, without).softmax(0);
                assertEquals(
                        100
                                * probabilities
                                        .select(0, model.toSingleToken(" Mary"))
                                        .item(),
                        number(line, 3),
                        0.006);
                assertEquals(model.forward(tokens).hooks(without).loss(), number(line, 4), 6e-5);
                assertEquals(
                        model.toSingleStrToken((int) probabilities.argmax(0).item()), line.group(5));
            }
        }
    }

    /** Each text runs by itself here, and all of its positions after the {@code <|endoftext|>} are compared. */
    @Test
    void theTopExamplesAreTheLargestActivations() throws Exception {
        List<String> printed = run("TopExamples");
        record Place(float activation, int text, int position, String line) {}
        List<Place> places = new ArrayList<>();
        List<String> texts =
                TextDataset.of(Examples.DEMO.dataset(), Hub.fromEnvironment()).documents();
        for (int text = 0; text < 256; text++) {
            try (var _ = TensorScope.open()) {
                Tensor tokens = model.toTokens(texts.get(text));
                float[] column = encode(activation(tokens)).select(2, 8).toFloats();
                List<String> words = model.toStrTokens(tokens);
                int best = 1;
                for (int i = 2; i < column.length; i++) if (column[i] > column[best]) best = i;
                String left = String.join("", words.subList(Math.max(1, best - 5), best));
                String right = String.join("", words.subList(best + 1, Math.min(words.size(), best + 6)));
                String line = left + "[[" + words.get(best) + "]]" + right;
                places.add(new Place(column[best], text, best - 1, line.replace("\n", "\\n")));
            }
        }
        assertEquals("feature 8, 10 examples", printed.getFirst());
        List<MatchResult> lines = rows(printed, "  ([0-9.]+)  text (\\d+), position (\\d+): (.*)", 10);
        List<Place> sorted = places.stream()
                .sorted(Comparator.comparingDouble(Place::activation).reversed())
                .toList();
        for (int i = 0; i < lines.size(); i++) {
            MatchResult line = lines.get(i);
            assertEquals(sorted.get(i).activation(), number(line, 1), 1e-4);
            Place place = places.get(Integer.parseInt(line.group(2)));
            assertEquals(place.activation(), number(line, 1), 1e-4, line.group());
            assertEquals(place.position(), Integer.parseInt(line.group(3)), line.group());
            assertEquals(place.line(), line.group(4));
        }
        assertEquals(10, lines.stream().map(line -> line.group(2)).distinct().count(), "a text gives one example");
    }

    /** Parts add up to the difference; the gradient is a small step, the ablation a whole one along the direction. */
    @Test
    void attributionsAreTheChangesThatStepsMake() throws Exception {
        String[] arguments = {Examples.DEMO.model(), Examples.DEMO.sae(), PROMPT, " Mary", " John", folder.toString()};
        List<String> printed = run("Attribution", arguments);
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

    /** What a head writes at the last position, centred and divided by the last scale, along both tokens' columns. */
    private static double written(Forward run, int layer, int head) {
        String block = "blocks." + layer + ".attn.";
        long last = run.cache().get("hook_embed").size(1) - 1;
        Tensor z =
                run.cache().get(block + "hook_z").select(0, 0).select(0, last).slice(0, head, head + 1);
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
}
