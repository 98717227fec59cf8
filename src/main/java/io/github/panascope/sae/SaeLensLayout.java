package io.github.panascope.sae;

import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.ConfigFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** SAELens's own layout: a folder of {@code cfg.json}, {@code sae_weights.safetensors}, and the sparsity if known. */
final class SaeLensLayout implements SaeLayout {
    private static final String WEIGHTS = "sae_weights.safetensors";
    private static final String SPARSITY = "sparsity.safetensors";
    private static final String CONFIG = "cfg.json";

    private static final SaeFiles.Conversion AS_IT_IS = SaeFiles.ofOne(SaeLensLayout::read);

    @Override
    public SaePlan plan(SaeRegistry.Entry sae) {
        SaePlan folder = SaePlan.ofFolder(sae.path());
        return SaePlan.ofNames(sae, folder.files(), folder.optional());
    }

    @Override
    public SaeFiles find(SaeRegistry.Entry sae, Hub hub) {
        return ofRepo(HubRepo.model(sae.repo()), sae.path(), hub, sae.configOverrides(), sae.normScalingFactor());
    }

    static SaeFiles ofFolder(Path folder) {
        return new SaeFiles(
                SaeConfig.parse(ConfigFile.read(folder.resolve(CONFIG))),
                List.of(folder.resolve(WEIGHTS)),
                Optional.of(folder.resolve(SPARSITY)).filter(Files::exists),
                AS_IT_IS,
                Double.NaN,
                List.of());
    }

    static SaeFiles ofRepo(HubRepo repo, String path, Hub hub, String overrides, double scaling) {
        ConfigFile config = SaeConfig.overridden(ConfigFile.read(hub.file(repo, path + "/" + CONFIG)), overrides);
        return new SaeFiles(
                SaeConfig.parse(config),
                List.of(hub.file(repo, path + "/" + WEIGHTS)),
                hub.optionalFile(repo, path + "/" + SPARSITY),
                AS_IT_IS,
                scaling,
                List.of());
    }

    /** Reads weights that have SAELens's names already. */
    static WeightReader read(WeightReader reader) {
        for (String weight : SaeFunction.WEIGHTS) reader.take(weight, weight);
        return reader.ignoreOnes();
    }
}
