package io.github.panascope.cli;

import io.github.panascope.InputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/** Complains about places that cannot be written to before anything takes time. */
final class Outputs {
    private Outputs() {}

    /** Null is no place, and no complaint. */
    static void requireFile(String option, Path file) {
        if (file == null) return;
        if (Files.isDirectory(file)) throw new InputException(option + " " + file + " is a folder, not a file.");
        requireMakeable(option, file, file.toAbsolutePath().getParent());
    }

    /** The same of a folder. */
    static void requireFolder(String option, Path folder) {
        if (folder == null) return;
        if (Files.exists(folder) && !Files.isDirectory(folder))
            throw new InputException(option + " " + folder + " is a file, not a folder.");
        requireMakeable(option, folder, folder.toAbsolutePath());
    }

    /** That no two of these files are one; nulls are none. */
    static void requireDifferent(Path... files) {
        Set<Path> seen = new HashSet<>();
        for (Path file : files) {
            if (file != null && !seen.add(file.toAbsolutePath().normalize()))
                throw new InputException(file + " is named for two outputs: one would be lost.");
        }
    }

    private static void requireMakeable(String option, Path place, Path folder) {
        Path there = folder;
        while (there != null && !Files.exists(there)) there = there.getParent();
        if (there == null || !Files.isDirectory(there) || !Files.isWritable(there)) {
            throw new InputException(option + " " + place + " cannot be made: " + there + " is "
                    + (there != null && Files.isDirectory(there) ? "not writable." : "a file."));
        }
    }
}
