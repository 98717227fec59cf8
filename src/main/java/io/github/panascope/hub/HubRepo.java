package io.github.panascope.hub;

import java.util.Locale;

/**
 * A repository on the hub.
 *
 * @param kind model or dataset
 * @param id   such as {@code gpt2} or {@code NeelNanda/pile-10k}
 */
public record HubRepo(Kind kind, String id) {
    /** Kinds of repositories. */
    public enum Kind { MODEL, DATASET }

    /** Checks that the id could be one; it becomes part of a path. */
    public HubRepo {
        if (!id.matches("[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?") || id.contains("..")) {
            throw new InputException("'" + id + "' is not a hub id: it should be NAME or OWNER/NAME.");
        }
    }

    /** A model repository. */
    public static HubRepo model(String id) {
        return new HubRepo(Kind.MODEL, id);
    }

    /** A dataset repository. */
    public static HubRepo dataset(String id) {
        return new HubRepo(Kind.DATASET, id);
    }

    /** The folder's name in the cache: {@code models--owner--name}. */
    String folder() {
        return kind.name().toLowerCase(Locale.ROOT) + "s--" + id.replace("/", "--");
    }

    /** The path under the hub's address: models have no prefix. */
    String path() {
        return kind == Kind.MODEL ? id : "datasets/" + id;
    }

    @Override
    public String toString() {
        return (kind == Kind.MODEL ? "model " : "dataset ") + id;
    }
}
