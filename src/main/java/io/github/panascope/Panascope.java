package io.github.panascope;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Properties;

/** The library as a whole. */
public final class Panascope {
    private Panascope() {}

    /** {@return the version of this library, such as {@code 0.1.0}} */
    public static String version() {
        try (InputStream in = Panascope.class.getResourceAsStream("version.properties")) {
            Properties properties = new Properties();
            properties.load(in);
            return properties.getProperty("version");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
