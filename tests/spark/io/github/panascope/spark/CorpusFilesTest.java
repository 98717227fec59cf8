package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.hub.Hub;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import org.apache.spark.sql.Encoders;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** A corpus in files has on Spark the documents that it has on one machine, in their order. */
@Tag("spark")
@ExtendWith(Cluster.class)
class CorpusFilesTest {
    @TempDir
    Path folder;

    private static List<String> onSpark(String place, String split, String column) {
        return Failures.unwrapped(() -> Documents.read(Cluster.session(), place, split, column)
                .table()
                .as(Encoders.STRING())
                .collectAsList());
    }

    private static List<String> onOneMachine(Path place, String split) {
        return TextDataset.of(place.toString(), split, Hub.fromEnvironment()).documents();
    }

    /** Files of all formats: two splits, an empty one, null texts, folders, and files that are not the dataset's. */
    @BeforeEach
    void makeFiles() throws IOException {
        Files.copy(Path.of(DemoBundle.find().dataset()), folder.resolve("train-b.parquet"));
        Files.writeString(folder.resolve("train-c.jsonl"), "");
        Path inner = Files.createDirectories(folder.resolve("training data/a b"));
        try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(inner.resolve("part 1%20ä.jsonl.gz")))) {
            for (int i = 0; i < 300; i++)
                out.write(((i % 7 == 0 ? "{\"text\": null}" : "{\"text\": \"one " + i + "\"}") + "\n")
                        .getBytes(StandardCharsets.UTF_8));
        }
        Files.writeString(folder.resolve("validation.jsonl"), "{\"text\": \"another\", \"other\": \"column\"}\n");
        Files.writeString(folder.resolve("README.md"), "no document");
        Files.writeString(folder.resolve(".train.jsonl"), "{\"text\": \"hidden\"}\n");
        Files.writeString(Files.createDirectories(folder.resolve("x/y/z")).resolve("train.jsonl"), "too deep");
    }

    @Test
    void theDocumentsOfAFolderAreThoseOfOneMachine() {
        List<String> expected = onOneMachine(folder, "train");
        assertTrue(expected.size() > 2_000 && expected.contains("one 299"), "documents of every file");
        assertEquals(expected, onSpark(folder.toString(), "train", null));
        assertEquals(expected, onSpark(folder.toUri().toString(), "train", null));
        assertEquals(List.of("another"), onSpark(folder.toString(), "validation", null));
        assertEquals(
                List.of("column"), onSpark(folder.resolve("validation.jsonl").toString(), "train", "other"));
    }

    @Test
    void theDocumentsOfTheDemoAreReadFromItsArtefact() {
        assertEquals(
                TextDataset.of(DemoBundle.find().dataset()).documents(),
                Documents.demo(Cluster.session()).table().as(Encoders.STRING()).collectAsList());
    }

    @Test
    void aTaskThatEndsEarlyEndsItsReader() {
        assertEquals(
                onOneMachine(folder, "train").getFirst(),
                Documents.read(Cluster.session(), folder.toString(), "train", null)
                        .table()
                        .as(Encoders.STRING())
                        .first());
    }

    @Test
    void filesThatCannotBeReadAreRefusedInASentence() throws IOException {
        assertRefused("dataset " + folder + "/none does not exist: there is no file:" + folder + "/none.", "none");
        Files.createDirectories(folder.resolve("empty"));
        assertRefused("folder " + folder + "/empty holds no Parquet, JSON Lines or text file.", "empty");
        Path tokens = Files.writeString(folder.resolve("tokens.jsonl"), "{\"tokens\": [1, 2]}\n");
        assertRefused(tokens + " holds token ids, and text is needed: name a column of text.", "tokens.jsonl");
        Files.writeString(folder.resolve("data.foo"), "a");
        assertRefused(
                folder + "/data.foo should end in .parquet, .jsonl, .json or .txt, to say what it is.", "data.foo");
    }

    private void assertRefused(String sentence, String name) {
        assertEquals(
                sentence,
                assertThrows(InputException.class, () -> onSpark(folder + "/" + name, "train", null))
                        .getMessage());
    }
}
