package io.github.panascope.plot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.w3c.dom.Document;

@ExtendWith(LeakCheck.class)
class HeatMapTest {
    private static Document parse(String svg) throws Exception {
        return DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new ByteArrayInputStream(svg.getBytes(StandardCharsets.UTF_8)));
    }

    @Test
    void everyCellHasItsColourAndSaysItsNumber() throws Exception {
        try (var _ = TensorScope.open()) {
            Tensor table = Tensor.of(new float[] {-2, 0, 2, Float.NaN, 1, -1}, Shape.of(2, 3));
            Document svg = parse(HeatMap.of(table)
                    .title("a <b> & \"c\"")
                    .rows("layer", List.of("0", "</svg>"))
                    .columns("token", List.of(" a", "\u0001\n", "🤖"))
                    .svg());
            var cells = svg.getElementsByTagName("title");
            assertEquals(6, cells.getLength());
            assertEquals("0,  a: -2.000", cells.item(0).getTextContent());
            assertEquals("</svg>, 🤖: -1.000", cells.item(5).getTextContent());
            List<String> colours = List.of("#2166ac", "#f7f7f7", "#b2182b", "#999999", "#d58891", "#8cafd2");
            for (int i = 0; i < 6; i++)
                assertEquals(
                        colours.get(i),
                        cells.item(i)
                                .getParentNode()
                                .getAttributes()
                                .getNamedItem("fill")
                                .getNodeValue());
        }
    }

    @Test
    void aLargeTableFitsAndABadOneIsRefused() throws Exception {
        try (var _ = TensorScope.open()) {
            assertTrue(parse(HeatMap.of(Tensor.zeros(DType.FLOAT32, Shape.of(12, 200)))
                                    .svg())
                            .getDocumentElement()
                            .getAttribute("width")
                            .length()
                    <= 4);
            assertThrows(IllegalArgumentException.class, () -> HeatMap.of(Tensor.zeros(DType.FLOAT32, Shape.of(3))));
            HeatMap map = HeatMap.of(Tensor.zeros(DType.FLOAT32, Shape.of(2, 2)));
            assertThrows(IllegalArgumentException.class, () -> map.rows("x", List.of("one")));
        }
    }
}
