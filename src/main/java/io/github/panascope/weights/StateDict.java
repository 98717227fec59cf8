package io.github.panascope.weights;

import io.github.panascope.InputException;
import io.github.panascope.internal.Suggestions;
import io.github.panascope.internal.TextFile;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.MappedFile;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * Tensors by name from a file that is mapped into memory for as long as a scope lives: safetensors, what
 * {@code torch.save} and {@code torch.jit.save} write, or several of these with an index. Nothing in such a file is
 * ever executed.
 */
public sealed interface StateDict permits Safetensors, TorchFile, ShardedStateDict {
    /**
     * Opens a file, whichever of the formats it has; an index ({@code .json}) finds its files beside it.
     *
     * @param scope how long tensors of it may be used
     * @throws InputException if it is missing, damaged, or holds what is not understood
     */
    static StateDict open(Path file, TensorScope scope) {
        return open(file, scope, file::resolveSibling);
    }

    /** The same; an index finds its files where {@code files} says. */
    static StateDict open(Path file, TensorScope scope, Function<String, Path> files) {
        if (isIndex(file)) return ShardedStateDict.open(file, scope, files);
        TextFile.requireRegular(file);
        try {
            MappedFile mapping = MappedFile.open(file, scope);
            byte[] start = mapping.bytes(0, (int) Math.min(4, mapping.size()));
            return TorchFile.recognises(start) ? TorchFile.open(file, mapping) : Safetensors.open(file, mapping);
        } catch (IOException e) {
            throw new InputException(file + " cannot be read: " + InputException.reason(e), e);
        }
    }

    /** The names of the files that an index names; none for what is no index. */
    static List<String> shards(Path file) {
        return isIndex(file) ? ShardedStateDict.files(file) : List.of();
    }

    private static boolean isIndex(Path file) {
        return file.getFileName().toString().endsWith(".index.json");
    }

    /**
     * A text that torch.jit.save was given to keep beside a module ({@code _extra_files}). Reads the archive's
     * directory and that entry alone.
     *
     * @return the text; empty if the file is no zip archive or has no such entry
     * @throws InputException if the archive is damaged, or would unpack to much more than its size
     */
    static Optional<String> extraFile(Path file, String name) {
        try (TensorScope scope = TensorScope.open()) {
            MappedFile mapping = MappedFile.open(file, scope);
            if (mapping.size() < 2 || mapping.bytes(0, 2)[0] != 'P' || mapping.bytes(0, 2)[1] != 'K')
                return Optional.empty();
            StoredZip zip = StoredZip.open(file, mapping);
            return zip.entries().keySet().stream()
                    .filter(entry -> entry.matches("[^/]+/extra/" + Pattern.quote(name)))
                    .findFirst()
                    .map(entry -> new String(zip.bytes(entry, 1 << 20), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new InputException(file + " cannot be read: " + InputException.reason(e), e);
        }
    }

    /** The file, or the index of the files. */
    Path file();

    /** The names of its tensors, in the file's order. */
    Set<String> names();

    /** The shape of a tensor that is there. */
    Shape shape(String name);

    /** The dtype of a tensor that is there. */
    DType dtype(String name);

    /** A tensor over the mapped bytes, in the innermost open scope; it must not outlive the mapping's scope. */
    Tensor tensor(String name);

    /** Whether it holds a tensor of this name. */
    default boolean has(String name) {
        return names().contains(name);
    }

    /**
     * A floating-point tensor of a known shape.
     *
     * @throws InputException if it is missing, of another shape, or not floating-point
     */
    default Tensor weight(String name, Shape expected) {
        if (!shape(name).equals(expected))
            throw new InputException(file() + ": tensor '" + name + "' has shape " + shape(name) + ", and " + expected
                    + " was expected.");
        if (!dtype(name).isFloatingPoint())
            throw new InputException(file() + ": tensor '" + name + "' has dtype " + dtype(name)
                    + ", and a floating-point dtype was expected.");
        return tensor(name);
    }

    /** The complaint that a tensor is not there. */
    default InputException missing(String name) {
        return new InputException(file() + " has no tensor '" + name + "'." + Suggestions.didYouMean(name, names()));
    }
}
