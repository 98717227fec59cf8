package io.github.panascope.cli;

import io.github.panascope.InputException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The demo bundle: a small model, an SAE and texts, with which the commands run without the hub. It lies beside the jar
 * of the command line.
 *
 * @param folder the folder of the bundle
 */
record DemoBundle(Path folder) {
    static DemoBundle find() {
        String property = System.getProperty("panascope.demo");
        Path folder = property != null ? Path.of(property) : beside();
        if (!Files.isDirectory(folder)) {
            throw new InputException("the demo bundle is not at " + folder
                    + ": build it with `mvn package`, or name --model, --sae and --dataset.");
        }
        return new DemoBundle(folder);
    }

    private static Path beside() {
        try {
            return Path.of(DemoBundle.class
                            .getProtectionDomain()
                            .getCodeSource()
                            .getLocation()
                            .toURI())
                    .resolveSibling("demo");
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    String model() {
        return folder.resolve("model").toString();
    }

    String sae() {
        return folder.resolve("sae").toString();
    }

    String dataset() {
        return folder.resolve("dataset.parquet").toString();
    }
}
