package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** The demo bundle of the sources. */
final class DemoFixture {
    static final Path FOLDER = Path.of("src/demo/bundle");

    private DemoFixture() {}

    static String model() {
        return FOLDER.resolve("model").toString();
    }

    static String sae() {
        return FOLDER.resolve("sae").toString();
    }

    static String dataset() {
        return FOLDER.resolve("dataset.parquet").toString();
    }

    /**
     * A copy of a demo folder, {@code model} or {@code sae}, in which one file has other content, or is missing where
     * that is null.
     */
    static String changed(Path folder, String part, String file, byte[] content) throws IOException {
        Path copy = Files.createTempDirectory(folder, part);
        try (var files = Files.list(FOLDER.resolve(part))) {
            for (Path original : files.toList())
                Files.copy(original, copy.resolve(original.getFileName()), StandardCopyOption.REPLACE_EXISTING);
        }
        if (content == null) Files.delete(copy.resolve(file));
        else Files.write(copy.resolve(file), content);
        return copy.toString();
    }

    /** A copy of a demo folder in which a text of one file is replaced by another. */
    static String changedText(Path folder, String part, String file, String from, String to) throws IOException {
        String text = Files.readString(FOLDER.resolve(part).resolve(file));
        assertTrue(text.contains(from), from);
        return changed(folder, part, file, text.replace(from, to).getBytes(StandardCharsets.UTF_8));
    }
}
