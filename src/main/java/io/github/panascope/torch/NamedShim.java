package io.github.panascope.torch;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;

/**
 * A shim that the user names in place of the jar's: for a libtorch that the jar was not built for, on a machine where a
 * jar cannot be built.
 *
 * @param library    the file, such as libpanascope.so
 * @param properties the properties that build-native.sh wrote beside the library
 */
record NamedShim(Path library, Properties properties) {
    static final String VARIABLE = "PANASCOPE_SHIM";
    static final String PROPERTIES = "shim.properties";

    /**
     * Returns the shim that the variable's value names; null if it names none. Like LIBTORCH, this is an explicit
     * setting of the user: it is used or refused, never ignored.
     *
     * @throws NativeLibraryException if the file, or the properties beside it, are missing
     */
    static NamedShim named(String value) throws IOException {
        if (value == null || value.isEmpty()) return null;
        Path library = Path.of(value).toAbsolutePath();
        if (!Files.isRegularFile(library)) throw refused(value, "is no file");
        Path beside = library.resolveSibling(PROPERTIES);
        if (!Files.isRegularFile(beside)) throw refused(value, "has no " + PROPERTIES + " beside it");
        Properties properties = new Properties();
        try (InputStream in = Files.newInputStream(beside)) {
            properties.load(in);
        } catch (IllegalArgumentException e) { // a malformed Unicode escape
            throw refused(value, "has a " + PROPERTIES + " beside it that cannot be read");
        }
        for (String key : List.of("torch.version", "torch.source")) {
            if (properties.getProperty(key, "").isEmpty()) {
                throw refused(value, "has a " + PROPERTIES + " beside it without " + key);
            }
        }
        return new NamedShim(library, properties);
    }

    private static NativeLibraryException refused(String value, String why) {
        return new NativeLibraryException(VARIABLE + "=" + value + " " + why
                + ": name a libpanascope.so where build-native.sh wrote it, or leave " + VARIABLE + " unset");
    }
}
