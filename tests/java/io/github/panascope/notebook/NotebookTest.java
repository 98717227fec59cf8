package io.github.panascope.notebook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.cli.CapturedOutput;
import io.github.panascope.lens.HookedTransformer;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** What is kept over cells, and progress outside of a kernel. */
class NotebookTest {
    @RegisterExtension
    final CapturedOutput captured = new CapturedOutput();

    private final List<String> closed = new ArrayList<>();

    @AfterEach
    void closeAll() {
        for (String name : List.of("a", "b", "model")) Notebook.close(name);
    }

    private AutoCloseable opened(String name) {
        return () -> closed.add(name);
    }

    @Test
    void aNameThatIsUsedAgainClosesWhatItHeld() {
        AutoCloseable first = opened("first");
        assertSame(first, Notebook.keep("a", () -> first));
        Notebook.keep("b", () -> opened("other"));
        assertEquals(List.of(), closed);
        Notebook.keep("a", () -> {
            assertEquals(List.of("first"), closed); // before the second is made, so that memory holds one
            return opened("second");
        });
        Notebook.close("a");
        Notebook.close("a");
        assertEquals(List.of("first", "second"), closed);
    }

    @Test
    void whatCannotBeMadeOrClosedIsSaid() {
        Notebook.keep("a", () -> opened("first"));
        assertThrows(
                IllegalArgumentException.class,
                () -> Notebook.keep("a", () -> {
                    throw new IllegalArgumentException("no such model");
                }));
        assertEquals(List.of("first"), closed);
        boolean[] busy = {true};
        Notebook.keep("a", () -> () -> {
            if (busy[0]) throw new IllegalStateException("in use");
            closed.add("second");
        });
        assertThrows(IllegalStateException.class, () -> Notebook.close("a"));
        busy[0] = false;
        Notebook.close("a");
        assertEquals(List.of("first", "second"), closed);
    }

    @Test
    void dashboardsAreReadWithTheTokenizerOfTheKeptModel() {
        assertNull(Notebook.tokenizer());
        HookedTransformer model =
                Notebook.keep("model", () -> HookedTransformer.fromPretrained("src/demo/bundle/model"));
        assertSame(model.tokenizer(), Notebook.tokenizer());
        Notebook.close("model");
        assertNull(Notebook.tokenizer());
    }

    @Test
    void progressIsOneLine() throws InterruptedException {
        try (Progress known = Notebook.progress("rows", 4)) {
            known.update(1); // too soon to be shown
            Thread.sleep(250);
            known.update(2);
            known.update(3);
            known.update(4);
        }
        String[] drawn = captured.output().split("\r");
        assertEquals(3, drawn.length, captured.output());
        assertTrue(drawn[1].startsWith("rows [############............] 2/4, 0."), drawn[1]);
        assertTrue(drawn[2].startsWith("rows [########################] 4/4, 0."), drawn[2]);
        assertTrue(drawn[2].endsWith("\n"), drawn[2]);
        captured.reset();
        try (Progress unknown = Notebook.progress("documents", 0)) {
            unknown.counting(consumer -> {
                        for (int i = 0; i < 30; i++) {
                            consumer.accept("text");
                            if (i == 10) sleep();
                        }
                    })
                    .forEach(text -> {});
        }
        drawn = captured.output().split("\r");
        assertEquals(3, drawn.length, captured.output());
        assertTrue(drawn[2].startsWith("documents 30, ") && drawn[2].endsWith("\n"), drawn[2]);
    }

    private static void sleep() {
        try {
            Thread.sleep(250);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }
}
