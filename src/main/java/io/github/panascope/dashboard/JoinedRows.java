package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** The rows of several folders, which are added folder by folder. Folders that do not belong together are refused. */
final class JoinedRows {
    private final StoreIdentity identity;
    private final String refusal;
    private final Set<Path> folders = new HashSet<>();
    private final TreeMap<Long, StoreManifest.Rows> rows = new TreeMap<>();

    /**
     * @param identity the identity of all rows
     * @param refusal  what is said of a folder that is refused, such as "cannot be merged"
     */
    JoinedRows(StoreIdentity identity, String refusal) {
        this.identity = identity;
        this.refusal = refusal;
    }

    /**
     * Notes a folder before it is opened.
     *
     * @throws InputException if the folder was noted before
     */
    void note(Path folder) {
        if (!folders.add(real(folder))) throw new InputException(folder + " is named twice.");
    }

    static Path real(Path folder) {
        try {
            return folder.toRealPath();
        } catch (IOException e) {
            return folder.toAbsolutePath().normalize(); // opening the folder says what is wrong with it
        }
    }

    /**
     * Adds the rows of a folder.
     *
     * @throws InputException if the folder is of another identity, or rows of it were added before
     */
    void add(Path folder, StoreManifest manifest) {
        if (!manifest.identity().equals(identity))
            throw new InputException(folder + " " + refusal + ": " + identity.difference(manifest.identity()) + ".");
        for (StoreManifest.Rows range : manifest.rows()) {
            Map.Entry<Long, StoreManifest.Rows> before = rows.lowerEntry(range.end());
            if (before != null && before.getValue().end() > range.first())
                throw new InputException(folder + " " + refusal + ": its rows " + range.first() + " to "
                        + (range.end() - 1) + " are there already.");
            rows.put(range.first(), range);
        }
    }

    /** {@return all rows, ascending} */
    List<StoreManifest.Rows> all() {
        return List.copyOf(rows.values());
    }
}
