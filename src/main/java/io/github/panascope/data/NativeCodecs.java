package io.github.panascope.data;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The native libraries of snappy-java and zstd-jni. Both unpack themselves into the temporary folder and leave a file
 * there when the process is killed. Loaded by this class, they leave none: a library that is loaded needs its file no
 * more.
 */
final class NativeCodecs {
    private static boolean tried;

    private NativeCodecs() {}

    /** Loads the libraries that are there; one that cannot be loaded is left to its first use, which says why. */
    static synchronized void load() {
        if (tried) return;
        tried = true;
        if (System.getProperty("os.name").startsWith("Windows")) return; // there a loaded file cannot be deleted
        load("org.xerial.snappy.Snappy", "org.xerial.snappy.tempdir");
        load("com.github.luben.zstd.Zstd", "ZstdTempFolder");
    }

    /**
     * Initializes a class, which loads its library, with a folder of its own for temporary files.
     *
     * @param property what names that folder; if the application has set it, nothing is done
     */
    private static void load(String name, String property) {
        if (System.getProperty(property) != null) return;
        try {
            Path folder = Files.createTempDirectory("panascope");
            System.setProperty(property, folder.toString());
            try {
                Class.forName(name);
            } catch (VirtualMachineError e) {
                throw e;
            } catch (ClassNotFoundException | Error e) { // snappy-java has an Error of its own
                return; // absent, not for this system, or native access is denied
            } finally {
                System.clearProperty(property);
                delete(folder);
            }
        } catch (IOException e) {
            return; // the temporary folder cannot be written
        }
    }

    /**
     * Refuses a file whose reader is a dependency that the application left out.
     *
     * @param type a class of the reader
     */
    static void require(Path file, String type, String artifact) {
        try {
            Class.forName(type, false, NativeCodecs.class.getClassLoader());
        } catch (ClassNotFoundException e) {
            throw new InputException(
                    file + " cannot be read without the library " + artifact + ": add it to the application.", e);
        }
    }

    private static void delete(Path folder) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
            for (Path file : files) Files.delete(file);
        }
        Files.delete(folder);
    }
}
