package io.github.panascope.plot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;

/** The bars of the picture, its texts, and what it refuses. */
class CountHistogramTest {
    private static Document parse(String svg) throws Exception {
        return DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new ByteArrayInputStream(svg.getBytes(StandardCharsets.UTF_8)));
    }

    private static List<String> texts(NodeList nodes) {
        List<String> texts = new ArrayList<>();
        for (int i = 0; i < nodes.getLength(); i++) texts.add(nodes.item(i).getTextContent());
        return texts;
    }

    @Test
    void barsSayTheirNumbersAndTheMeanIsMarked() throws Exception {
        CountHistogram histogram = CountHistogram.of(new long[] {0, 3, 1, 0, 4})
                .title("a <b> & \"c\"")
                .axes("</svg>", "positions");
        assertEquals(2.625, histogram.mean());
        Document svg = parse(histogram.svg());
        NodeList bars = svg.getElementsByTagName("title");
        assertEquals(List.of("1: 3", "2: 1", "4: 4"), texts(bars));
        List<String> texts = texts(svg.getElementsByTagName("text"));
        assertTrue(texts.containsAll(List.of("a <b> & \"c\"", "</svg>", "positions", "mean 2.63")), texts.toString());
        double highest = height(bars, 2);
        assertEquals(highest * 3 / 4, height(bars, 0), 0.01);
        assertEquals(highest / 4, height(bars, 1), 0.01);
    }

    private static double height(NodeList bars, int bar) {
        return Double.parseDouble(bars.item(bar)
                .getParentNode()
                .getAttributes()
                .getNamedItem("height")
                .getNodeValue());
    }

    @Test
    void manyCountsShareBars(@TempDir Path folder) throws Exception {
        long[] occurrences = new long[24_576];
        occurrences[300] = 5;
        occurrences[24_575] = 7;
        CountHistogram histogram = CountHistogram.of(occurrences);
        Path file = folder.resolve("missing/folder/counts.svg");
        histogram.write(file);
        assertEquals(histogram.svg(), Files.readString(file));
        assertEquals(
                List.of("190 to 379: 5", "24510 to 24699: 7"),
                texts(parse(histogram.svg()).getElementsByTagName("title")));
        long[] ones = new long[130];
        Arrays.fill(ones, 1);
        assertEquals(
                130,
                parse(CountHistogram.of(ones).svg())
                        .getElementsByTagName("title")
                        .getLength());
        long[] more = Arrays.copyOf(ones, 131);
        assertEquals(
                "128 to 129: 2",
                texts(parse(CountHistogram.of(more).svg()).getElementsByTagName("title"))
                        .getLast());
    }

    @Test
    void aTitleAndNamesAreNeeded() {
        CountHistogram histogram = CountHistogram.of(new long[] {1});
        assertEquals(
                "the title should not be null; it may be empty",
                assertThrows(NullPointerException.class, () -> histogram.title(null))
                        .getMessage());
        assertThrows(NullPointerException.class, () -> histogram.axes(null, "positions"));
        assertThrows(NullPointerException.class, () -> histogram.axes("counts", null));
    }

    @Test
    void noCountsAreAnEmptyPictureAndNegativeOnesAreRefused() throws Exception {
        assertEquals(
                0,
                parse(CountHistogram.of(new long[0]).svg())
                        .getElementsByTagName("title")
                        .getLength());
        IllegalArgumentException refused =
                assertThrows(IllegalArgumentException.class, () -> CountHistogram.of(new long[] {0, -1}));
        assertEquals("the count 1 should occur 0 times or more, not -1", refused.getMessage());
    }
}
