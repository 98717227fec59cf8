package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.internal.PageTemplate;
import io.github.panascope.tokens.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.zip.GZIPOutputStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * An HTML page, in a file or a stream, with dashboards of any number of features. The page loads nothing else: its
 * content security policy forbids every request and every script but its own. Each feature is compressed separately and
 * unpacked when it is shown. Text of the corpus is always data, never markup.
 *
 * <p>The compressed features are collected in a temporary file until the page is {@linkplain #complete complete}, so
 * that their number is not limited by memory.
 *
 * <pre>{@code
 * static void write(HookedTransformer model, Dashboards dashboards, int[] features) {
 *     DashboardPage.Header header =
 *             new DashboardPage.Header("My features", Map.of("Model", model.name()), null);
 *     try (DashboardPage page =
 *             DashboardPage.open(Path.of("dashboards.html"), header, model.tokenizer())) {
 *         dashboards.forEach(features, 4, page);
 *     }
 * }
 * }</pre>
 */
public final class DashboardPage implements DashboardSink {
    /**
     * The compression level. A page with all features of an SAE of GPT-2 takes 25 s with level 4, and 2 s less with
     * this level, which makes it 6% larger.
     */
    private static final int LEVEL = 3;

    private static final JsonMapper JSON = JsonMapper.builder()
            .disable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
            .build();

    /**
     * The head of the page, above the dashboards.
     *
     * @param title       the title of the page
     * @param facts       the facts that the dashboards rest on, by name: model, SAE, rows; may be empty
     * @param neuronpedia the address of a feature's page on Neuronpedia without the number at its end; null if there is
     *     none
     */
    public record Header(
            String title,
            Map<String, String> facts,
            @Nullable String neuronpedia) {
        /**
         * Checks that title and facts are present.
         *
         * @throws NullPointerException if the title or the facts are null
         */
        public Header {
            Objects.requireNonNull(title, "the page's title should not be null");
            Objects.requireNonNull(facts, "the facts above the dashboards should not be null; they may be empty");
        }
    }

    private final @Nullable Path file;
    private final @Nullable OutputStream out; // if there is no file
    private final Header header;
    private final PageContent content;
    private final List<Object> index = new ArrayList<>();
    private final TemporaryFile features;
    private @Nullable PromptDashboard prompt;
    private int shownFeatures;

    private DashboardPage(@Nullable Path file, @Nullable OutputStream out, Header header, Tokenizer tokenizer) {
        this.file = file;
        this.out = out;
        this.header = Objects.requireNonNull(header, "the page's header should not be null");
        this.content = new PageContent(Objects.requireNonNull(
                tokenizer, "the tokenizer, which makes texts of the page's tokens, should not be null"));
        features = new TemporaryFile(".features");
    }

    /**
     * Opens a page without features.
     *
     * @param file      the file that {@link #complete} writes; an existing file is replaced as a whole
     * @param header    the head of the page
     * @param tokenizer the tokenizer that decodes token ids
     * @return the page; the caller closes it
     * @throws InputException       if the temporary file cannot be created
     * @throws NullPointerException if an argument is null
     */
    public static DashboardPage open(Path file, Header header, Tokenizer tokenizer) {
        return new DashboardPage(
                Objects.requireNonNull(file, "the page's file should not be null"), null, header, tokenizer);
    }

    /**
     * Opens a page without features that is written to a stream.
     *
     * @param out       the stream to which {@link #complete} writes the page in UTF-8; it is not closed
     * @param header    the head of the page
     * @param tokenizer the tokenizer that decodes token ids
     * @return the page; the caller closes it
     * @throws InputException       if the temporary file cannot be created
     * @throws NullPointerException if an argument is null
     */
    public static DashboardPage open(OutputStream out, Header header, Tokenizer tokenizer) {
        return new DashboardPage(
                null, Objects.requireNonNull(out, "the page's stream should not be null"), header, tokenizer);
    }

    /**
     * Sets a prompt that the page shows above the features, with the strongest features at each of its tokens.
     *
     * @param prompt the prompt; it must receive all dashboards before this page is {@linkplain #complete complete}
     * @param shown  the number of features listed for each token and measure
     * @throws NullPointerException if the prompt is null
     */
    public void prompt(PromptDashboard prompt, int shown) {
        this.prompt = Objects.requireNonNull(prompt, "the prompt to show should not be null");
        this.shownFeatures = shown;
    }

    @Override
    public void accept(FeatureDashboard dashboard) {
        prepare(dashboard).run();
    }

    @Override
    public Runnable prepare(FeatureDashboard dashboard) {
        int feature = dashboard.feature();
        Object entry = content.entry(dashboard);
        byte[] compressed = packed(content.feature(dashboard)).getBytes(StandardCharsets.US_ASCII);
        return () -> add(feature, entry, compressed);
    }

    private void add(int feature, Object entry, byte[] compressed) {
        OutputStream to = features.out();
        features.write(() -> {
            to.write(((index.isEmpty() ? "" : ",") + "\"" + feature + "\":\"").getBytes(StandardCharsets.US_ASCII));
            to.write(compressed);
            to.write('"');
        });
        index.add(entry);
    }

    /**
     * Writes the page to its file or stream.
     *
     * @throws InputException if the file cannot be written
     * @throws UncheckedIOException if the stream cannot be written
     */
    @Override
    public void complete() {
        Map<String, Object> about = new LinkedHashMap<>();
        about.put("title", header.title());
        about.put("facts", header.facts());
        about.put("neuronpedia", header.neuronpedia());
        about.put("index", index);
        about.put("prompt", prompt == null ? null : content.prompt(prompt, shownFeatures));
        about.put("vocabulary", content.vocabulary());
        String[] around = PageTemplate.of(DashboardPage.class, "dashboard.html")
                .text("TITLE", header.title())
                .style("STYLE", PageTemplate.plotStyle() + PageTemplate.resource(DashboardPage.class, "dashboard.css"))
                .script("UPLOT", PageTemplate.plotScript())
                .script("SCRIPT", PageTemplate.resource(DashboardPage.class, "dashboard.js"))
                .around("DATA");
        String before = around[0] + "{\"about\":\"" + packed(about) + "\",\"features\":{";
        String after = "}}" + around[1];
        if (out == null) {
            AtomicFile.writePath(file, part -> {
                try (OutputStream opened = Files.newOutputStream(part)) {
                    write(opened, before, after);
                }
            });
            return;
        }
        try {
            write(out, before, after);
            out.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Writes the features, with the parts of the page before and after them. */
    private void write(OutputStream to, String before, String after) throws IOException {
        to.write(before.getBytes(StandardCharsets.UTF_8));
        features.in().transferTo(to);
        to.write(after.getBytes(StandardCharsets.UTF_8));
    }

    /** Deletes the temporary file. */
    @Override
    public void close() {
        features.close();
    }

    /**
     * Encodes an object as JSON, compresses it with gzip and encodes the result in base64, whose alphabet needs no
     * escaping within a script.
     */
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
