package io.github.panascope.demo;

import io.github.panascope.InputException;
import io.github.panascope.torch.Torch;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;

/**
 * The demo bundle: a small model of GPT-2's architecture, an SAE and texts, with which programs and commands run
 * without the hub.
 *
 * <pre>{@code
 * DemoBundle demo = DemoBundle.find();
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained(demo.model());
 *         var sae = Sae.fromPretrained(demo.sae())) {
 *     System.out.println(model.config().nLayers() + " layers, " + sae.config().dSae() + " features");
 * }
 * }</pre>
 *
 * @param folder the folder of the bundle
 */
public record DemoBundle(Path folder) {
    private static final String ROOT = "demo/";
    /** What the peers compute on this bundle: no two bundles have this file in common. */
    private static final String NAMESAKE = "expected.json";

    private static final List<String> FILES = List.of(
            "dataset.parquet",
            "model/config.json",
            "model/model.safetensors",
            "sae/cfg.json",
            "sae/sae_weights.safetensors",
            "sae/sparsity.safetensors",
            NAMESAKE);

    /**
     * Finds the bundle: the artefact {@code panascope-demo} on the class path or module path. It is unpacked (12 MB)
     * into the folder of {@link Torch#cache()} when it is first asked for.
     *
     * @return the bundle, as files
     * @throws InputException if the artefact is absent, or the bundle cannot be unpacked; the message then names the
     *     folder
     */
    public static DemoBundle find() {
        URL namesake = DemoBundle.class.getClassLoader().getResource(ROOT + NAMESAKE);
        if (namesake == null)
            throw new InputException(
                    "the demo bundle is not there: put the artefact io.github.panascope:panascope-demo on"
                            + " the class path, or name a model, an SAE and a dataset.");
        if (namesake.getProtocol().equals("file"))
            return new DemoBundle(Path.of(URI.create(namesake.toString())).getParent());
        Path kept = Torch.cache().resolve("demo");
        try {
            Path folder = kept.resolve(digest(namesake).substring(0, 16));
            for (String file : FILES) if (!Files.exists(folder.resolve(file))) unpack(file, folder);
            return new DemoBundle(folder);
        } catch (IOException | UncheckedIOException e) {
            throw new InputException(
                    "the demo bundle cannot be unpacked into " + kept + " (PANASCOPE_CACHE names another folder): " + e,
                    e);
        }
    }

    /** Moves each file into its place whole, as several processes may unpack at a time. */
    private static void unpack(String file, Path folder) throws IOException {
        Path target = folder.resolve(file);
        Files.createDirectories(target.getParent());
        Path part =
                Files.createTempFile(target.getParent(), target.getFileName().toString(), ".part");
        try (InputStream in = DemoBundle.class.getClassLoader().getResourceAsStream(ROOT + file)) {
            if (in == null) throw new InputException("the artefact panascope-demo lacks " + ROOT + file + ".");
            Files.copy(in, part, StandardCopyOption.REPLACE_EXISTING);
            Files.move(part, target, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    private static String digest(URL file) throws IOException {
        try (InputStream in = file.openStream()) {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(in.readAllBytes()));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    /** {@return the folder of the model, for {@code HookedTransformer.fromPretrained}} */
    public String model() {
        return folder.resolve("model").toString();
    }

    /** {@return the folder of the SAE, for {@code Sae.fromPretrained}} */
    public String sae() {
        return folder.resolve("sae").toString();
    }

    /** {@return the file of texts (Parquet), for {@code TextDataset.of}} */
    public String dataset() {
        return folder.resolve("dataset.parquet").toString();
    }
}
