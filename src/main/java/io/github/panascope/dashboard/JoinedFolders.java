package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Folders with disjoint rows of one identity, which are read as one. Their sums stay on the disk: their checksums are
 * checked once, and each call reads the sums of the features that it needs.
 */
final class JoinedFolders {
    private final List<Path> folders;
    private final StoreManifest manifest;
    private final Map<StoreManifest.Rows, Path> shards = new HashMap<>();
    private final Path[] sums;
    private final NeuronCorrelationSums.Header header;

    private JoinedFolders(List<Path> folders) throws IOException {
        this.folders = List.copyOf(folders);
        StoreManifest[] manifests = new StoreManifest[folders.size()];
        for (int i = 0; i < manifests.length; i++) manifests[i] = new StoreFolder(folders.get(i)).readManifest();
        StoreIdentity identity = manifests[0].identity();
        JoinedRows rows = new JoinedRows(identity, "cannot be joined");
        for (int i = 0; i < manifests.length; i++) {
            rows.note(folders.get(i));
            rows.add(folders.get(i), manifests[i]);
            for (StoreManifest.Rows range : manifests[i].rows())
                shards.put(range, new StoreFolder(folders.get(i)).shard(manifests[i], range));
        }
        manifest = StoreManifest.empty(identity).with(rows.all(), null);
        sums = new Path[manifests.length];
        NeuronCorrelationSums.Header first = null;
        for (int i = 0; i < manifests.length; i++) {
            RunInterruptedException.check("reading " + folders.get(i));
            StoreFolder folder = new StoreFolder(folders.get(i));
            sums[i] = folder.sums(manifests[i]);
            NeuronCorrelationSums.Header found = NeuronCorrelationSums.check(sums[i], manifests[i].sums());
            if (first == null) first = found;
            if (!found.equals(first))
                throw new InputException(folder + " cannot be joined: it was made for other features, " + found
                        + " there and " + first + " in " + folders.getFirst() + ".");
        }
        header = first;
    }

    /**
     * Reads the manifests and checks the sums of all folders.
     *
     * @throws InputException if a folder is refused
     */
    static JoinedFolders open(List<Path> folders) {
        try {
            return new JoinedFolders(folders);
        } catch (IOException e) {
            throw StoreFolder.cannot(folders.getFirst(), e);
        }
    }

    /** {@return a manifest of all rows} */
    StoreManifest manifest() {
        return manifest;
    }

    /** {@return the features whose sums the folders hold, ascending} */
    int[] features() {
        return header.features();
    }

    int dIn() {
        return header.dIn();
    }

    ActivationShard openShard(StoreManifest.Rows range) throws IOException {
        return StoreFolder.openShard(shards.get(range), range);
    }

    /**
     * Reads the sums of features and adds those of all folders up, line by line.
     *
     * @param features the features, ascending; the folders hold sums of all of them
     * @return the sums of these features alone
     * @throws InputException if a file of sums is no longer there
     */
    NeuronCorrelationSums sums(int[] features) {
        NeuronCorrelationSums all = new NeuronCorrelationSums(features, dIn());
        for (int i = 0; i < sums.length; i++) {
            RunInterruptedException.check(Dashboards.MAKING);
            try {
                all.addFrom(sums[i], header);
            } catch (IOException e) {
                throw StoreFolder.cannot(folders.get(i), e);
            }
        }
        return all;
    }

    @Override
    public String toString() {
        return folders.size() == 1
                ? folders.getFirst().toString()
                : "the " + folders.size() + " folders from " + folders.getFirst() + " to " + folders.getLast();
    }
}
