package io.github.panascope.torch;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;

/**
 * A shim that the user names in place of the jar's: for a libtorch that the jar was not built for, on a machine where
 * no jar can be built.
 *
 * @param library    such as libpanascope.so
 * @param properties what build-native.sh wrote beside it
 */
record Shim(Path library, Properties properties) {
    static final String VARIABLE = "PANASCOPE_SHIM";
    private static final String PROPERTIES = "shim.properties";

    /**
     * The shim that the variable's value names; null where it names none. As with LIBTORCH, this is the user's own
     * word: used or refused, never passed over.
     *
     * @throws NativeLibraryException if the file, or what should lie beside it, is missing
     */
    static Shim named(String value) throws IOException {
        if (value == null || value.isEmpty()) return null;
        Path library = Path.of(value).toAbsolutePath();
        if (!Files.isRegularFile(library)) throw refused(value, "is no file");
        Path beside = library.resolveSibling(PROPERTIES);
        if (!Files.isRegularFile(beside)) throw refused(value, "has no " + PROPERTIES + " beside it");
        Properties properties = new Properties();
        try (InputStream in = Files.newInputStream(beside)) {
            properties.load(in);
        } catch (IllegalArgumentException e) { // a broken escape
            throw refused(value, "has a " + PROPERTIES + " beside it that cannot be read");
        }
        for (String key : List.of("torch.version", "torch.source")) {
            if (properties.getProperty(key, "").isEmpty()) {
                throw refused(value, "has a " + PROPERTIES + " beside it without " + key);
            }
        }
        return new Shim(library, properties);
    }

    private static NativeLibraryException refused(String value, String why) {
        return new NativeLibraryException(VARIABLE + "=" + value + " " + why
                + ": name a libpanascope.so where build-native.sh wrote it, or leave " + VARIABLE + " unset");
    }
}
