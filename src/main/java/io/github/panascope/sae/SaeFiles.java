package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.torch.Tensor;
import io.github.panascope.weights.StateDict;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The files of an SAE on this machine, whatever {@link SaeLayout} they have.
 *
 * @param parsed     the configuration
 * @param weights    the files of the tensors
 * @param sparsity   the file of log10 of how often each feature is active; empty if it is not published
 * @param conversion makes SAELens's weights of the tensors
 * @param scaling    the factor to fold into weights that were trained on scaled activations; NaN if none is known
 * @param notes      sentences for the user about this SAE
 */
record SaeFiles(
        SaeConfig.Parsed parsed,
        List<Path> weights,
        Optional<Path> sparsity,
        Conversion conversion,
        double scaling,
        List<String> notes) {
    /** Makes weights under SAELens's names of the tensors of files. */
    @FunctionalInterface
    interface Conversion {
        /**
         * Returns the weights, over the mapped files where nothing changes them.
         *
         * @throws InputException if a file lacks a tensor, holds one that is not needed, or has one of another shape
         *     than the configuration says
         */
        Map<String, Tensor> weights(List<StateDict> files, SaeConfig config);
    }

    /** Makes weights of the tensors of a single file. */
    @FunctionalInterface
    interface OfReader {
        WeightReader read(WeightReader reader);
    }

    /** Creates the files of a layout with one file of tensors and without the sparsity. */
    SaeFiles(SaeConfig.Parsed parsed, Path weights, SaeRegistry.Entry sae, OfReader reader) {
        this(parsed, List.of(weights), Optional.empty(), ofOne(reader), sae.normScalingFactor(), List.of());
    }

    static Conversion ofOne(OfReader reader) {
        return (files, config) ->
                reader.read(new WeightReader(files.getFirst(), config)).finish();
    }

    static SaeFiles find(String name, Hub hub, SaeRegistry registry) {
        Path folder = path(name);
        if (folder != null && Files.isDirectory(folder)) return SaeLensLayout.ofFolder(folder);
        if (folder != null && (folder.isAbsolute() || name.startsWith(".")))
            throw new InputException("SAE folder " + name + " does not exist.");
        String[] parts = name.split("/", 3);
        if (!registry.knows(name) && parts.length == 3)
            return SaeLensLayout.ofRepo(HubRepo.model(parts[0] + "/" + parts[1]), parts[2], hub, "{}", Double.NaN);
        SaeRegistry.Entry sae = registry.find(name);
        return SaeLayout.of(sae.loader())
                .orElseThrow(() -> new InputException(SaeLayout.refusal(sae)))
                .find(sae, hub);
    }

    private static Path path(String name) {
        try {
            return Path.of(name);
        } catch (InvalidPathException e) {
            throw new InputException(
                    "'" + name.replace("\0", "\\0") + "' is neither the name of an SAE nor of a folder.", e);
        }
    }

    /** Returns the weights under SAELens's names. */
    Map<String, Tensor> tensors(List<StateDict> files) {
        return conversion.weights(files, parsed.config());
    }

    /** Returns sentences about what may be wrong with these files, for the user who loads them. */
    List<String> advice() {
        List<String> advice = new ArrayList<>(notes);
        if (parsed.config().normalization() == Normalization.EXPECTED_AVERAGE_ONLY_IN && Double.isNaN(scaling)) {
            advice.add("normalize_activations is 'expected_average_only_in', but no norm_scaling_factor is known:"
                    + " activations are used as they are.");
        }
        return advice;
    }
}
