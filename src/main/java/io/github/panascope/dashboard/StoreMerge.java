package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Adds the rows of {@link FeatureStore}s to another store: all of them, or none if one of them is refused. */
final class StoreMerge {
    private StoreMerge() {}

    static FeatureStore merged(Path folder, List<Path> others) {
        for (Path other : others) {
            FeatureStore.readLocked(other).close();
        }
        FeatureStore store = open(folder, others.getFirst());
        try {
            store.merge(others);
            return store;
        } catch (RuntimeException | Error e) {
            store.close();
            throw e;
        }
    }

    /** Opens a folder with the identity and the features of another folder. */
    private static FeatureStore open(Path folder, Path like) {
        NeuronCorrelationSums.Header sums;
        StoreIdentity identity;
        try (FeatureStore first = FeatureStore.readLocked(like)) {
            sums = NeuronCorrelationSums.check(
                    first.files().sums(first.manifest()), first.manifest().sums());
            identity = first.identity();
        } catch (IOException e) {
            throw StoreFolder.cannot(like, e);
        }
        return FeatureStore.open(folder, identity, sums.features(), sums.dIn());
    }

    static void merge(FeatureStore into, List<Path> others) {
        List<FeatureStore> stores = new ArrayList<>();
        try {
            List<StoreManifest.Rows> rows = require(into, others, stores);
            try (FeatureStore.Shard shard = into.begin()) {
                for (FeatureStore other : stores) add(into, other, shard.sums());
                shard.commit(rows);
            } catch (IOException e) {
                throw into.files().cannot(e);
            }
        } finally {
            stores.forEach(FeatureStore::close);
        }
    }

    /**
     * Opens the stores, and refuses stores that cannot be merged.
     *
     * @param stores receives the stores that are opened
     * @return all rows of the merged store
     */
    private static List<StoreManifest.Rows> require(FeatureStore into, List<Path> others, List<FeatureStore> stores) {
        JoinedRows rows = new JoinedRows(into.identity(), "cannot be merged");
        rows.add(into.folder(), into.manifest());
        Path here = JoinedRows.real(into.folder());
        for (Path path : others) {
            rows.note(path);
            if (JoinedRows.real(path).equals(here)) throw new InputException(path + " cannot be merged into itself.");
            FeatureStore other = FeatureStore.readLocked(path);
            stores.add(other);
            rows.add(path, other.manifest());
        }
        return rows.all();
    }

    private static void add(FeatureStore into, FeatureStore other, NeuronCorrelationSums sums) throws IOException {
        for (StoreManifest.Rows range : other.manifest().rows()) {
            RunInterruptedException.check("merging into " + into.folder());
            other.files().openShard(other.manifest(), range); // refuses damaged shards before the manifest is written
            into.files().copyShard(into.manifest(), range, other.files().shard(other.manifest(), range));
        }
        Path file = other.files().sums(other.manifest());
        NeuronCorrelationSums.Header added =
                NeuronCorrelationSums.check(file, other.manifest().sums());
        if (!added.equals(sums.header()))
            throw new InputException(other.folder() + " cannot be merged: it was made for other features, " + added
                    + " there and " + sums.describe() + " here.");
        sums.addFrom(file, added); // line by line: sums may be large
    }
}
