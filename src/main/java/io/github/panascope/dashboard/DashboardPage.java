package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.internal.PageTemplate;
import io.github.panascope.tokens.Tokenizer;
import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Map;
import java.util.Objects;
import java.util.zip.GZIPOutputStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.exc.JacksonIOException;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * An HTML page, in a file or a stream, with dashboards of any number of features. The page loads nothing else: its
 * content security policy forbids every request and every script but its own. Each feature is compressed separately and
 * unpacked when it is shown. Text of the corpus is always data, never markup.
 *
 * <p>The compressed features, and the list of features, are collected in temporary files until the page is
 * {@linkplain #complete complete}, so that their number is not limited by memory.
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
    private final TemporaryFile features;
    /** The entries of the list of features, a line of JSON each. */
    private final TemporaryFile index;

    private boolean empty = true;
    private @Nullable PromptDashboard prompt;
    private int shownFeatures;

    private DashboardPage(@Nullable Path file, @Nullable OutputStream out, Header header, Tokenizer tokenizer) {
        this.file = file;
        this.out = out;
        this.header = Objects.requireNonNull(header, "the page's header should not be null");
        this.content = new PageContent(Objects.requireNonNull(
                tokenizer, "the tokenizer, which makes texts of the page's tokens, should not be null"));
        features = new TemporaryFile(".features");
        try {
            index = new TemporaryFile(".index");
        } catch (RuntimeException | Error e) {
            features.close();
            throw e;
        }
    }

    /**
     * Opens a page without features.
     *
     * @param file      the file that {@link #complete} writes; an existing file is replaced as a whole
     * @param header    the head of the page
     * @param tokenizer the tokenizer that decodes token ids
     * @return the page; the caller closes it
     * @throws InputException       if a temporary file cannot be created
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
     * @throws InputException       if a temporary file cannot be created
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
        byte[] entry = JSON.writeValueAsBytes(content.entry(dashboard));
        ByteArrayOutputStream compressed = new ByteArrayOutputStream();
        compressed.writeBytes(("\"" + dashboard.feature() + "\":\"").getBytes(StandardCharsets.US_ASCII));
        try {
            pack(compressed, json -> json.writePOJO(content.feature(dashboard)));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        compressed.write('"');
        return () -> add(entry, compressed);
    }

    private void add(byte[] entry, ByteArrayOutputStream compressed) {
        features.write(() -> {
            if (!empty) features.out().write(',');
            compressed.writeTo(features.out());
        });
        index.write(() -> {
            index.out().write(entry);
            index.out().write('\n');
        });
        empty = false;
    }

    /**
     * Writes the page to its file or stream.
     *
     * @throws InputException if the file cannot be written
     * @throws UncheckedIOException if the stream cannot be written
     */
    @Override
    public void complete() {
        String[] around = PageTemplate.of(DashboardPage.class, "dashboard.html")
                .text("TITLE", header.title())
                .style("STYLE", PageTemplate.plotStyle() + PageTemplate.resource(DashboardPage.class, "dashboard.css"))
                .script("UPLOT", PageTemplate.plotScript())
                .script("SCRIPT", PageTemplate.resource(DashboardPage.class, "dashboard.js"))
                .around("DATA");
        if (out == null) {
            AtomicFile.writePath(file, part -> {
                try (OutputStream opened = Files.newOutputStream(part)) {
                    write(opened, around);
                }
            });
            return;
        }
        try {
            write(out, around);
            out.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Writes the list of features and the features, with the parts of the page around them. */
    private void write(OutputStream to, String[] around) throws IOException {
        OutputStream buffered = new BufferedOutputStream(to, 1 << 16);
        buffered.write((around[0] + "{\"about\":\"").getBytes(StandardCharsets.UTF_8));
        pack(buffered, this::writeAbout);
        buffered.write("\",\"features\":{".getBytes(StandardCharsets.UTF_8));
        buffered.flush();
        features.in().transferTo(to);
        to.write(("}}" + around[1]).getBytes(StandardCharsets.UTF_8));
    }

    private void writeAbout(JsonGenerator json) throws IOException {
        json.writeStartObject();
        add(json, "title", header.title());
        add(json, "facts", header.facts());
        add(json, "neuronpedia", header.neuronpedia());
        json.writeName("index");
        json.writeStartArray();
        BufferedReader entries = new BufferedReader(new InputStreamReader(index.in(), StandardCharsets.UTF_8));
        for (String entry = entries.readLine(); entry != null; entry = entries.readLine()) json.writeRawValue(entry);
        json.writeEndArray();
        add(json, "prompt", prompt == null ? null : content.prompt(prompt, shownFeatures));
        add(json, "vocabulary", content.vocabulary());
        json.writeEndObject();
    }

    /** Adds a value by way of its text: while Jackson walks through an object, it wraps the errors of the stream. */
    private static void add(JsonGenerator json, String name, @Nullable Object value) {
        json.writeName(name);
        json.writeRawValue(JSON.writeValueAsString(value));
    }

    /** Deletes the temporary files. */
    @Override
    public void close() {
        try (index) {
            features.close();
        }
    }

    /** Writes a JSON value. */
    private interface Content {
        void write(JsonGenerator json) throws IOException;
    }

    /**
     * Writes a JSON value that is compressed with gzip and encoded in base64, whose alphabet needs no escaping within a
     * script.
     */
    private static void pack(OutputStream to, Content content) throws IOException {
        OutputStream open = new FilterOutputStream(to) {
            @Override
            public void write(byte[] bytes, int offset, int length) throws IOException {
                out.write(bytes, offset, length);
            }

            @Override
            public void close() {
                // The end of the value is not the end of the page.
            }
        };
        try (GZIPOutputStream zipped = new GZIPOutputStream(Base64.getEncoder().wrap(open)) {
                    {
                        def.setLevel(LEVEL);
                    }
                };
                JsonGenerator json = JSON.createGenerator(zipped)) {
            content.write(json);
        } catch (JacksonIOException e) {
            throw e.getCause();
        }
    }
}
