package io.github.panascope.hub;

import io.github.panascope.InputException;
import java.util.Locale;

/**
 * A repository on the hub at a revision.
 *
 * @param kind     model or dataset
 * @param id       such as {@code gpt2} or {@code NeelNanda/pile-10k}
 * @param revision a branch, a tag or a commit
 */
public record HubRepo(Kind kind, String id, String revision) {
    /** Kinds of repositories. */
    public enum Kind {
        MODEL,
        DATASET
    }

    /** Checks that id and revision could be ones; they become parts of paths. */
    public HubRepo {
        if (!id.matches("[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?")
                || id.contains("..")
                || id.startsWith(".")
                || id.contains("/.")) {
            throw new InputException("'" + id
                    + "' is not a hub id: it should be NAME or OWNER/NAME, with @REVISION after it where that"
                    + " is not main.");
        }
        if (!revision.matches("[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*") || revision.contains("..")) {
            throw new InputException(
                    "'" + revision + "' is not a revision of " + id + ": it should be a branch, a tag or a commit.");
        }
    }

    /** A model repository, {@code OWNER/NAME} or {@code OWNER/NAME@REVISION}. */
    public static HubRepo model(String name) {
        return of(Kind.MODEL, name);
    }

    /** A dataset repository, {@code OWNER/NAME} or {@code OWNER/NAME@REVISION}. */
    public static HubRepo dataset(String name) {
        return of(Kind.DATASET, name);
    }

    private static HubRepo of(Kind kind, String name) {
        int at = name.indexOf('@');
        return at < 0
                ? new HubRepo(kind, name, "main")
                : new HubRepo(kind, name.substring(0, at), name.substring(at + 1));
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
        return (kind == Kind.MODEL ? "model " : "dataset ") + id + (revision.equals("main") ? "" : "@" + revision);
    }
}
