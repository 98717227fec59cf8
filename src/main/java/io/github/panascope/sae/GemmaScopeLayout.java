package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.node.ObjectNode;

/**
 * Gemma Scope, jumprelu SAEs of Gemma 2: a folder of {@code params.npz} without a configuration. The repository says
 * the model and the site, the path says the layer.
 */
final class GemmaScopeLayout implements SaeLayout {
    static final Pattern LAYER = Pattern.compile("layer_(\\d+)");
    private static final Pattern REPO = Pattern.compile("(\\d+b)-(pt|it)-(res|mlp|att)");
    private static final String EMBEDDING = "embedding";

    @Override
    public SaePlan plan(SaeRegistry.Entry sae) {
        return SaePlan.ofNames(sae, List.of(params(sae)), List.of()).withHook(hook(sae));
    }

    static String params(SaeRegistry.Entry sae) {
        return sae.path() + "/params.npz";
    }

    @Override
    public SaeFiles find(SaeRegistry.Entry sae, Hub hub) {
        Path params = hub.file(HubRepo.model(sae.repo()), params(sae));
        ObjectNode config = SaeLayout.config(Architecture.JUMPRELU)
                .put("hook_name", hook(sae))
                .put("model_name", model(sae))
                .put("context_size", 1024)
                .put("dataset_path", "monology/pile-uncopyrighted");
        SaeLayout.putSizes(config, params, "w_enc", List.of("d_in", "d_sae"));
        return new SaeFiles(SaeLayout.parse(params.toString(), config, sae), params, sae, reader -> {
            read(reader).ignoreOnes();
            return sae.path().contains(EMBEDDING) ? onScaledEmbeddings(reader) : reader;
        });
    }

    private static Matcher repo(SaeRegistry.Entry sae) {
        Matcher repo = REPO.matcher(sae.repo());
        if (!repo.find())
            throw new InputException("SAE " + sae.name() + ": the repository '" + sae.repo()
                    + "' should name the size of the model, pt or it, and res, mlp or att.");
        return repo;
    }

    /** Returns the model: {@code gemma-2-9b-it} of {@code gemma-scope-9b-it-res}, where the registry lacks the -it. */
    static String model(SaeRegistry.Entry sae) {
        Matcher repo = Pattern.compile("(\\d+b)-(pt|it)-").matcher(sae.repo());
        if (!repo.find()) return sae.model();
        return "gemma-2-" + repo.group(1) + (repo.group(2).equals("it") ? "-it" : "");
    }

    private static String hook(SaeRegistry.Entry sae) {
        String site = repo(sae).group(3);
        if (site.equals("res") && sae.path().contains(EMBEDDING)) return "hook_embed";
        String layer = SaeLayout.found(LAYER, sae.path(), sae, "its layer");
        return "blocks." + layer
                + switch (site) {
                    case "res" -> ".hook_resid_post";
                    case "mlp" -> ".hook_mlp_out";
                    default -> ".attn.hook_z";
                };
    }

    static WeightReader read(WeightReader reader) {
        return reader.take("W_enc", "w_enc", "W_enc")
                .take("W_dec", "w_dec", "W_dec")
                .take("b_enc", "b_enc")
                .take("b_dec", "b_dec")
                .take("threshold", "threshold");
    }

    /**
     * Changes an SAE that was trained on rows of the embedding matrix into one for hook_embed, where Gemma has
     * multiplied them by √d_in. SAELens scales the two matrices and leaves b_dec as it is, which is part of the
     * reconstruction too.
     */
    private static WeightReader onScaledEmbeddings(WeightReader reader) {
        double scale = Math.sqrt(reader.get("W_dec").size(1));
        for (String weight : List.of("W_enc", "W_dec", "b_dec")) {
            Tensor tensor = reader.get(weight).to(DType.FLOAT32);
            reader.put(weight, weight.equals("W_enc") ? tensor.div(scale) : tensor.mul(scale));
        }
        return reader;
    }
}
