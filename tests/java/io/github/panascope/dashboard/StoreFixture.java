package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.function.Executable;

final class StoreFixture {
    static final StoreIdentity IDENTITY = new StoreIdentity(Map.of("hook", "here", "model", "one"));
    static final int[] FEATURES = {1, 4};
    static final int CONTEXT = 3;
    static final int D_IN = 2;

    private StoreFixture() {}

    static FeatureStore open(Path folder, String name) {
        return FeatureStore.open(folder.resolve(name), IDENTITY, FEATURES, D_IN);
    }

    static int[] row(long number) {
        return new int[] {50256, (int) number, (int) number + 1};
    }

    /** Adds rows of which every position has one feature. */
    static void add(FeatureStore store, int first, int end) {
        int positions = (end - first) * CONTEXT;
        int[] tokens = new int[positions];
        int[] ones = new int[positions];
        Arrays.fill(ones, 1);
        try (FeatureStore.Shard shard = store.begin()) {
            for (int r = first; r < end; r++) {
                System.arraycopy(row(r), 0, tokens, (r - first) * CONTEXT, CONTEXT);
                shard.sums().addNeurons(new double[] {r, 1}, new double[] {r * r, 1});
            }
            shard.commit(
                    first,
                    end,
                    List.of(new ActivationShard.Part(
                            tokens, new float[positions], ones, ones, new float[positions], positions, positions)),
                    CONTEXT);
        }
    }

    /** A folder with two shards. */
    static Path filled(Path folder, String name) {
        try (FeatureStore store = open(folder, name)) {
            add(store, 0, 4);
            add(store, 4, 6);
        }
        return folder.resolve(name);
    }

    static void assertRefused(String part, Executable action) {
        String message = assertThrows(InputException.class, action).getMessage();
        assertTrue(message.contains(part), message);
        assertEquals(1, message.lines().count(), message);
        for (String internal : List.of("jackson", "Source:", "null", "Exception"))
            assertFalse(message.contains(internal), message);
    }

    static List<Path> files(Path folder, String glob) throws IOException {
        try (var files = Files.newDirectoryStream(folder, glob)) {
            List<Path> found = new ArrayList<>();
            files.forEach(found::add);
            return found.stream().sorted().toList();
        }
    }
}
