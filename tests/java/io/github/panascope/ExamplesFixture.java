package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.panascope.data.TextDataset;
import io.github.panascope.hub.Hub;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.Torch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** The examples, the model and the SAE of the demo bundle, and what several tests compute from them. */
@ExtendWith(LeakCheck.class)
abstract class ExamplesFixture {
    static final String PROMPT = "When John and Mary went to the shops, John gave the bag to";
    static final String HOOK = "blocks.2.hook_resid_pre";

    @TempDir
    static Path folder;

    static HookedTransformer model;
    static Sae sae;
    /** Where the machine has other work, operators with several threads wait for each other, and take far longer. */
    private static Torch.SingleThreaded single;

    private static Locale before;

    @BeforeAll
    static void load() throws IOException {
        before = Locale.getDefault();
        Locale.setDefault(Locale.ROOT);
        single = Torch.singleThreaded();
        Examples.compile();
        model = HookedTransformer.fromPretrained(Examples.DEMO.model());
        sae = Sae.fromPretrained(Examples.DEMO.sae());
    }

    @AfterAll
    static void close() {
        sae.close();
        model.close();
        single.close();
        Locale.setDefault(before);
    }

    /** Runs an example, and checks that the page shows the output, whose numbers may differ in their digits. */
    static List<String> run(String name, String... arguments) throws Exception {
        List<String> printed = Examples.run(name, arguments);
        assertEquals(withoutNumbers(Examples.onPage(name, "text").lines().toList()), withoutNumbers(printed), name);
        return printed;
    }

    private static String withoutNumbers(List<String> lines) {
        return lines.stream()
                .map(line -> line.startsWith("wrote ") ? "wrote" : line.stripTrailing())
                .map(line -> line.replaceAll("-?[0-9.]*[0-9]", "#").replaceAll(" +", " "))
                .collect(Collectors.joining("\n"));
    }

    /** The groups of the lines that match a pattern whole, of which there have to be as many as said. */
    static List<MatchResult> rows(List<String> printed, String pattern, int count) {
        List<MatchResult> found = printed.stream()
                .map(Pattern.compile(pattern)::matcher)
                .filter(line -> line.matches())
                .map(line -> line.toMatchResult())
                .toList();
        assertEquals(count, found.size(), () -> pattern + " in\n" + String.join("\n", printed));
        return found;
    }

    static double number(MatchResult row, int group) {
        return Double.parseDouble(row.group(group));
    }

    /** The logits after the last token, [d_vocab]. */
    static Tensor next(Tensor tokens, Hooks hooks) {
        long length = tokens.size(1);
        return model.forward(tokens).hooks(hooks).logits(length - 1, length).reshape(-1);
    }

    /** The logit of Mary minus that of John after the last token. */
    static double difference(Tensor tokens, Hooks hooks) {
        Tensor next = next(tokens, hooks);
        return next.select(0, model.toSingleToken(" Mary")).item()
                - next.select(0, model.toSingleToken(" John")).item();
    }

    /** The features by the formula of the SAE, from its weights. */
    static Tensor encode(Tensor activation) {
        return activation
                .sub(sae.weight("b_dec"))
                .matmul(sae.weight("W_enc"))
                .add(sae.weight("b_enc"))
                .relu();
    }

    /** The activation at the SAE's hook point. */
    static Tensor activation(Tensor tokens) {
        Forward run = model.forward(tokens).caching(HOOK);
        run.stopAtLayer(3);
        return run.cache().get(HOOK);
    }

    static TokenDataset rowsOfTheDemo() {
        return TokenDataset.tokenizeAndConcatenate(
                TextDataset.of(Examples.DEMO.dataset(), Hub.fromEnvironment())::forEach,
                model.tokenizer(),
                ChunkingStrategy.CHARACTER_CHUNKS,
                128);
    }

    /** Returns what the heat map shows in its cells, row by row. */
    static double[] cells(Path svg) throws IOException {
        return Pattern.compile("<title>[^<]*: ([^<:]*)</title>")
                .matcher(Files.readString(svg))
                .results()
                .mapToDouble(cell -> number(cell, 1))
                .toArray();
    }

    static void assertClose(double[] expected, double[] found, double tolerance) {
        assertEquals(expected.length, found.length);
        for (int i = 0; i < expected.length; i++) assertEquals(expected[i], found[i], tolerance, "number " + i);
    }
}
