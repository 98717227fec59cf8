package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.FeatureDashboard.Ablation;
import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.internal.PageTemplate;
import io.github.panascope.tokens.Tokenizer;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.zip.GZIPOutputStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * One HTML file with dashboards of any number of features, which asks for nothing else: its content policy forbids
 * every request, and every script but its own. Each feature is compressed by itself and unpacked when it is shown. Text
 * of the corpus is data throughout, never markup.
 *
 * <p>Made feature by feature: {@link #add}, then {@link #write}. Features wait in a temporary file, so that any number
 * fits. Not thread-safe, but for {@link #pack}.
 */
public final class DashboardPage implements AutoCloseable {
    private static final int SEARCHED_TOKENS = 3;
    /**
     * Of compression: a page of all features of GPT-2's shape is made 2 s of 25 sooner than with 4, and has 6% more
     * bytes.
     */
    private static final int LEVEL = 3;

    private static final JsonMapper JSON = JsonMapper.builder()
            .disable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
            .build();

    /**
     * What stands above the dashboards.
     *
     * @param title       of the page
     * @param facts       what everything rests on, as name and value: model, SAE, rows
     * @param neuronpedia address of a feature's page, with its number at the end left off; null if it has none
     */
    public record Header(
            String title,
            Map<String, String> facts,
            @Nullable String neuronpedia) {
        /** Requires a title and facts, of which there may be none. */
        public Header {
            Objects.requireNonNull(title, "the page's title should not be null");
            Objects.requireNonNull(facts, "the facts above the dashboards should not be null; they may be empty");
        }
    }

    private final Header header;
    private final Tokenizer tokenizer;
    private final Map<Integer, Object> vocabulary = new ConcurrentHashMap<>();
    private final List<Object> index = new ArrayList<>();
    private final FileChannel waiting;
    private final OutputStream features;
    private Map<String, Object> promptContent;

    /** An empty page. */
    public DashboardPage(Header header, Tokenizer tokenizer) {
        this.header = Objects.requireNonNull(header, "the page's header should not be null");
        this.tokenizer = Objects.requireNonNull(
                tokenizer, "the tokenizer, which makes texts of the page's tokens, should not be null");
        try {
            // Gone with this process, however that ends.
            waiting = FileChannel.open(
                    Files.createTempFile("panascope", ".features"),
                    StandardOpenOption.READ,
                    StandardOpenOption.WRITE,
                    StandardOpenOption.DELETE_ON_CLOSE);
            features = new BufferedOutputStream(Channels.newOutputStream(waiting), 1 << 16);
        } catch (IOException e) {
            throw cannot(e);
        }
    }

    private static InputException cannot(IOException e) {
        return new InputException(
                "a temporary file in " + System.getProperty("java.io.tmpdir") + " cannot be written: "
                        + InputException.reason(e) + ".",
                e);
    }

    /** A feature as the page will hold it. */
    public static final class Packed {
        private final int feature;
        private final Object entry;
        private final byte[] content;

        private Packed(int feature, Object entry, byte[] content) {
            this.feature = feature;
            this.entry = entry;
            this.content = content;
        }
    }

    /** Makes of a dashboard what {@link #add(Packed)} takes; many threads may do so at once. */
    public Packed pack(FeatureDashboard dashboard) {
        FeatureDashboard.Statistics statistics = dashboard.statistics();
        int[] strongest = first(dashboard.strongestTokenIds());
        int[] promoted = first(
                dashboard.logitsTable() == null
                        ? new int[0]
                        : dashboard.logitsTable().topTokenIds());
        for (int token : strongest) know(token);
        for (int token : promoted) know(token);
        Object entry = List.of(dashboard.feature(), statistics.density(), statistics.max(), strongest, promoted);
        return new Packed(dashboard.feature(), entry, packed(content(dashboard)).getBytes(StandardCharsets.US_ASCII));
    }

    private static int[] first(int[] tokens) {
        return Arrays.copyOf(tokens, Math.min(SEARCHED_TOKENS, tokens.length));
    }

    /** Adds a feature. */
    public void add(FeatureDashboard dashboard) {
        add(pack(dashboard));
    }

    /** The same, packed by {@link #pack} of this page. */
    public void add(Packed feature) {
        try {
            features.write(((index.isEmpty() ? "" : ",") + "\"" + feature.feature + "\":\"")
                    .getBytes(StandardCharsets.US_ASCII));
            features.write(feature.content);
            features.write('"');
        } catch (IOException e) {
            throw cannot(e);
        }
        index.add(feature.entry);
    }

    private Map<String, Object> content(FeatureDashboard dashboard) {
        FeatureDashboard.Statistics s = dashboard.statistics();
        Map<String, Object> content = new LinkedHashMap<>();
        content.put("feature", dashboard.feature());
        content.put("statistics", new double[] {
            s.positions(), s.excluded(), s.active(), s.max(), s.mean(), s.meanActive(), s.std(), s.skew(), s.kurtosis()
        });
        content.put(
                "tables",
                List.of(
                        rows(dashboard.tables().neuronAlignment()),
                        rows(dashboard.tables().correlatedNeurons()),
                        rows(dashboard.tables().correlatedFeatures())));
        content.put("activations", histogram(dashboard.activations()));
        if (dashboard.logitsTable() != null) {
            content.put("logits", histogram(dashboard.logits()));
            FeatureDashboard.LogitsTable table = dashboard.logitsTable();
            for (int token : table.topTokenIds()) know(token);
            for (int token : table.bottomTokenIds()) know(token);
            content.put(
                    "logitsTable",
                    List.of(
                            table.topTokenIds(),
                            rounded(table.topLogits(), 4),
                            table.bottomTokenIds(),
                            rounded(table.bottomLogits(), 4)));
        }
        content.put("groups", dashboard.groups().stream().map(this::group).toList());
        return content;
    }

    private static List<Object> rows(List<Entry> entries) {
        return entries.stream()
                .<Object>map(entry -> List.of(
                        entry.index(), Histogram.rounded(entry.value(), 4), Histogram.rounded(entry.second(), 4)))
                .toList();
    }

    private static List<Object> histogram(Histogram histogram) {
        return List.of(histogram.heights(), histogram.values(), histogram.ticks());
    }

    private Map<String, Object> group(SequenceGroup group) {
        Map<String, Object> content = new LinkedHashMap<>();
        content.put("title", group.title().replace("<br>", "\n"));
        content.put("sequences", group.sequences().stream().map(this::sequence).toList());
        return content;
    }

    private Map<String, Object> sequence(Sequence sequence) {
        for (int token : sequence.tokenIds()) know(token);
        Map<String, Object> content = new LinkedHashMap<>();
        content.put("row", sequence.row());
        content.put("position", sequence.position());
        content.put("first", sequence.first());
        content.put("tokens", sequence.tokenIds());
        content.put("activations", rounded(sequence.activations(), 4));
        if (sequence.tokenLogits().length > 0) content.put("logits", rounded(sequence.tokenLogits(), 3));
        Ablation ablation = sequence.ablation();
        if (ablation != null) {
            if (ablation.lensLossEffect().length > 0) content.put("lens", rounded(ablation.lensLossEffect(), 4));
            if (ablation.lossEffect().length > 0) {
                content.put("loss", rounded(ablation.lossEffect(), 4));
                content.put("raised", changes(ablation.topIds(), ablation.topValues()));
                content.put("lowered", changes(ablation.bottomIds(), ablation.bottomValues()));
            }
        }
        return content;
    }

    private List<Object> changes(int[][] ids, float[][] values) {
        List<Object> changes = new ArrayList<>();
        for (int i = 0; i < ids.length; i++) {
            for (int token : ids[i]) know(token);
            changes.add(List.of(ids[i], rounded(values[i], 4)));
        }
        return changes;
    }

    private static double[] rounded(float[] values, int decimals) {
        double[] rounded = new double[values.length];
        for (int i = 0; i < rounded.length; i++) rounded[i] = Histogram.rounded(values[i], decimals);
        return rounded;
    }

    /**
     * A token's text, or its bytes in hexadecimal where they are no whole characters: the page puts the pieces
     * together.
     */
    private void know(int token) {
        if (vocabulary.containsKey(token)) return;
        vocabulary.computeIfAbsent(token, id -> {
            byte[] bytes = tokenizer.decodeBytes(id);
            String text = new String(bytes, StandardCharsets.UTF_8);
            return Arrays.equals(bytes, text.getBytes(StandardCharsets.UTF_8))
                    ? text
                    : List.of(HexFormat.of().formatHex(bytes));
        });
    }

    /**
     * Shows a prompt above the features: at each of its tokens those that matter most.
     *
     * @param shown of each token and measure
     */
    public void prompt(PromptDashboard prompt, int shown) {
        Map<String, Object> content = new LinkedHashMap<>();
        Map<String, Object> metrics = new LinkedHashMap<>();
        Map<String, Object> sequences = new LinkedHashMap<>();
        for (PromptDashboard.Metric metric : PromptDashboard.Metric.values()) {
            List<Object> positions = new ArrayList<>();
            for (int position = 0; position < prompt.tokens().length; position++) {
                List<Entry> top = prompt.top(metric, position, shown);
                for (Entry entry : top)
                    sequences.computeIfAbsent(
                            Integer.toString(entry.index()), _ -> sequence(prompt.sequence(entry.index())));
                positions.add(top.stream()
                        .map(entry -> List.of(entry.index(), Histogram.rounded(entry.value(), 6)))
                        .toList());
            }
            metrics.put(metric.title(), positions);
        }
        for (int token : prompt.tokens()) know(token);
        content.put("tokens", prompt.tokens());
        content.put("active", prompt.features().length);
        content.put("metrics", metrics);
        content.put("sequences", sequences);
        promptContent = content;
    }

    /** How many features it has. */
    public int size() {
        return index.size();
    }

    /**
     * Writes the page; an older one is replaced whole.
     *
     * @throws io.github.panascope.InputException if the file cannot be written
     */
    public void write(Path file) {
        Map<String, Object> about = new LinkedHashMap<>();
        about.put("title", header.title());
        about.put("facts", header.facts());
        about.put("neuronpedia", header.neuronpedia());
        about.put("index", index);
        about.put("prompt", promptContent);
        about.put("vocabulary", new TreeMap<>(vocabulary));
        String[] around = PageTemplate.of(DashboardPage.class, "dashboard.html")
                .text("TITLE", header.title())
                .style("STYLE", PageTemplate.plotStyle() + PageTemplate.resource(DashboardPage.class, "dashboard.css"))
                .script("UPLOT", PageTemplate.plotScript())
                .script("SCRIPT", PageTemplate.resource(DashboardPage.class, "dashboard.js"))
                .around("DATA");
        try {
            features.flush();
        } catch (IOException e) {
            throw cannot(e);
        }
        AtomicFile.writePath(file, part -> {
            try (OutputStream out = Files.newOutputStream(part)) {
                out.write((around[0] + "{\"about\":\"" + packed(about) + "\",\"features\":{")
                        .getBytes(StandardCharsets.UTF_8));
                waiting.position(0);
                Channels.newInputStream(waiting).transferTo(out);
                out.write(("}}" + around[1]).getBytes(StandardCharsets.UTF_8));
            }
        });
    }

    /** Deletes what waited. */
    @Override
    public void close() {
        try {
            waiting.close();
        } catch (IOException e) {
            throw cannot(e);
        }
    }

    /** JSON, gzipped, in base64: letters alone, whatever the text. */
    private static String packed(Object content) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (GZIPOutputStream zipped = new GZIPOutputStream(bytes) {
            {
                def.setLevel(LEVEL);
            }
        }) {
            zipped.write(JSON.writeValueAsBytes(content));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Base64.getEncoder().encodeToString(bytes.toByteArray());
    }
}
