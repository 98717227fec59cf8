package io.github.panascope.families;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** TransformerLens's names and aliases of the models of this family, with their ids on the hub. */
public final class KnownModels {
    private KnownModels() {}

    /** {@return the hub ids by name} */
    public static Map<String, String> hubIds() {
        Map<String, String> ids = new LinkedHashMap<>();
        for (String name : List.of("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "distilgpt2")) ids.put(name, name);
        ids.put("gpt2-small", "gpt2");
        for (String alias : List.of("distillgpt2", "distill-gpt2", "distil-gpt2", "gpt2-xs"))
            ids.put(alias, "distilgpt2");
        crfm(
                ids,
                "small",
                List.of(
                        "alias-gpt2-small-x21",
                        "battlestar-gpt2-small-x49",
                        "caprica-gpt2-small-x81",
                        "darkmatter-gpt2-small-x343",
                        "expanse-gpt2-small-x777"),
                "gpt2-mistral-small-");
        crfm(
                ids,
                "medium",
                List.of(
                        "arwen-gpt2-medium-x21",
                        "beren-gpt2-medium-x49",
                        "celebrimbor-gpt2-medium-x81",
                        "durin-gpt2-medium-x343",
                        "eowyn-gpt2-medium-x777"),
                "gpt2-medium-small-");
        return ids;
    }

    /** Adds Stanford's five models of one size, which also have aliases that end in a letter. */
    private static void crfm(Map<String, String> ids, String size, List<String> names, String third) {
        for (int i = 0; i < names.size(); i++) {
            String id = "stanford-crfm/" + names.get(i);
            char letter = (char) ('a' + i);
            for (String alias : List.of(
                    id,
                    names.get(i),
                    "stanford-gpt2-" + size + "-" + letter,
                    third + letter,
                    "gpt2-stanford-" + size + "-" + letter)) ids.put(alias, id);
        }
    }
}
