package io.github.panascope.cli;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Checks of output places before a command computes anything. */
final class Outputs {
    /** The names of files that readers of models, tokenizers and SAEs look for in a folder. */
    private static final Pattern READ = Pattern.compile(".*\\.(safetensors|pt|bin|npz|index\\.json)"
            + "|(cfg|config|vocab|added_tokens|special_tokens_map|tokenizer.*)\\.json|merges\\.txt");
    /** The names of files in a folder of features. */
    private static final Pattern STORED = Pattern.compile("manifest\\.json|lock|rows-.*\\.bin");

    private Outputs() {}

    /** Refuses an empty path, which Java takes for the current folder. Null is accepted. */
    static void requireNamed(String option, Path place) {
        if (place != null && place.toString().isEmpty()) throw new InputException(option + " should not be empty.");
    }

    /** Refuses a path to which no file can be written. Null is accepted. */
    static void requireFile(String option, Path file) {
        if (file == null) return;
        requireNamed(option, file);
        if (Files.isDirectory(file)) throw new InputException(option + " " + file + " is a folder, not a file.");
        requireMakeable(option, file, file.toAbsolutePath().getParent());
    }

    /** Refuses a path at which no folder can be made or written to. Null is accepted. */
    static void requireFolder(String option, Path folder) {
        if (folder == null) return;
        requireNamed(option, folder);
        if (Files.exists(folder) && !Files.isDirectory(folder))
            throw new InputException(option + " " + folder + " is a file, not a folder.");
        requireMakeable(option, folder, folder.toAbsolutePath());
    }

    /** Refuses files of which two are equal. Nulls are ignored. */
    static void requireDifferent(Path... files) {
        Set<Path> seen = new HashSet<>();
        for (Path file : files) {
            if (file != null && !seen.add(file.toAbsolutePath().normalize()))
                throw new InputException(file + " is named for two outputs: one would be lost.");
        }
    }

    /**
     * Returns the files that may be read for a model or an SAE: the file itself, and the files that a reader looks for
     * in its folder; none if it is not on this machine.
     */
    static List<Path> readFrom(String modelOrSae) {
        try {
            Path place = Path.of(modelOrSae);
            if (!Files.exists(place)) return List.of();
            boolean isFolder = Files.isDirectory(place);
            List<Path> found = new ArrayList<>();
            if (!isFolder) found.add(place);
            try (Stream<Path> beside =
                    Files.list(isFolder ? place : place.toAbsolutePath().getParent())) {
                beside.filter(file ->
                                READ.matcher(file.getFileName().toString()).matches())
                        .forEach(found::add);
            }
            return found;
        } catch (InvalidPathException | IOException e) {
            return List.of(); // the command that reads it reports the error
        }
    }

    /**
     * Refuses to overwrite a file that the command reads.
     *
     * @param file  the file to be written, or null
     * @param read  files of the model, the SAE and the dataset
     * @param state a folder of features, or null
     */
    static void requireUnread(String option, Path file, List<Path> read, Path state) {
        if (file == null) return;
        for (Path each : read)
            if (isSame(file, each))
                throw new InputException(option + " " + file + " is a file that this run reads, and would be lost:"
                        + " name another one.");
        Path folder = file.toAbsolutePath().normalize().getParent();
        boolean stored = state != null
                && folder != null
                && isSame(folder, state)
                && STORED.matcher(file.getFileName().toString()).matches();
        if (stored)
            throw new InputException(
                    option + " " + file + " has the name of a file of --state: name another one, or another folder.");
    }

    private static boolean isSame(Path a, Path b) {
        try {
            return Files.isSameFile(a, b);
        } catch (IOException e) { // one of them does not exist
            return a.toAbsolutePath().normalize().equals(b.toAbsolutePath().normalize());
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
