package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.tokens.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A page in a stream is the page in a file. */
class DashboardPageStreamTest {
    private static final DashboardPage.Header HEADER =
            new DashboardPage.Header("Features", Map.of("Text", "täglich"), null);

    private static void fill(DashboardPage page) {
        try (page) {
            for (int feature = 0; feature < 3; feature++)
                page.accept(new FeatureDashboard(
                        feature,
                        new FeatureDashboard.Statistics(
                                1000, 0, 0, 0, 0, 0, 0, 0, Double.NaN, Double.NaN, new double[0]),
                        new FeatureDashboard.Tables(List.of(new Entry(1, .1, .2)), List.of(), List.of()),
                        Histogram.of(new float[0], 0, 50),
                        null,
                        null,
                        List.of()));
            page.complete();
        }
    }

    @Test
    void streamAndFileHoldOnePage(@TempDir Path folder) throws IOException {
        Tokenizer tokenizer = Tokenizer.gpt2();
        boolean[] closed = {false};
        ByteArrayOutputStream stream = new ByteArrayOutputStream() {
            @Override
            public void close() {
                closed[0] = true;
            }
        };
        fill(DashboardPage.open(stream, HEADER, tokenizer));
        fill(DashboardPage.open(folder.resolve("page.html"), HEADER, tokenizer));
        assertEquals(Files.readString(folder.resolve("page.html")), stream.toString(StandardCharsets.UTF_8));
        assertEquals(false, closed[0]);
    }

    /** The page comes in several parts: its head, the compressed list of features, the features. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3})
    void aStreamThatFailsIsReported(int writes) {
        int[] left = {writes};
        OutputStream failing = new OutputStream() {
            @Override
            public void write(int b) throws IOException {
                write(new byte[] {(byte) b}, 0, 1);
            }

            @Override
            public void write(byte[] bytes, int offset, int length) throws IOException {
                if (left[0]-- == 0) throw new IOException("the reader has gone");
            }
        };
        byte[] random = new byte[1 << 18];
        new Random(4).nextBytes(random);
        DashboardPage.Header header = new DashboardPage.Header(
                "Features", Map.of("Text", Base64.getEncoder().encodeToString(random)), null);
        DashboardPage page = DashboardPage.open(failing, header, Tokenizer.gpt2());
        UncheckedIOException failed = assertThrows(UncheckedIOException.class, () -> fill(page));
        assertEquals("the reader has gone", failed.getCause().getMessage());
    }
}
