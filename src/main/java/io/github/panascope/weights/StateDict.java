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
 * Named tensors of a file that is mapped into memory until a scope closes. The file is a safetensors file, one that
 * {@code torch.save}, {@code torch.jit.save} or {@code numpy.savez} wrote, or the index of several such files (shards).
 * Nothing in such a file is ever executed.
 */
public sealed interface StateDict permits Safetensors, TorchFile, Npz, ShardedStateDict {
    /**
     * Opens a file in any of the supported formats. The files of an index ({@code .index.json}) are expected beside it.
     *
     * @param file  a file of tensors, or an index
     * @param scope the scope in which the mapping lives; a tensor of the file may outlive it
     * @return the tensors of the file
     * @throws InputException if a file is missing, damaged, or contains something that is not understood
     */
    static StateDict open(Path file, TensorScope scope) {
        return open(file, scope, file::resolveSibling);
    }

    /**
     * Opens a file in any of the supported formats, with a function that locates the files of an index.
     *
     * @param file  a file of tensors, or an index ({@code .index.json})
     * @param scope the scope in which the mapping lives; a tensor of the file may outlive it
     * @param files returns the path of a file that the index names; not called if {@code file} is not an index
     * @return the tensors of the file
     * @throws InputException if a file is missing, damaged, or contains something that is not understood
     */
    static StateDict open(Path file, TensorScope scope, Function<String, Path> files) {
        if (isIndex(file)) return ShardedStateDict.open(file, scope, files);
        TextFile.requireRegular(file);
        try {
            MappedFile mapping = MappedFile.open(file, scope);
            byte[] start = mapping.bytes(0, (int) Math.min(Npz.START, mapping.size()));
            if (Npz.recognises(start)) return Npz.open(file, mapping);
            return TorchFile.recognises(start) ? TorchFile.open(file, mapping) : Safetensors.open(file, mapping);
        } catch (IOException e) {
            throw new InputException(file + " cannot be read: " + InputException.reason(e), e);
        }
    }

    /**
     * Returns the names of the files that an index lists.
     *
     * @param file a file of tensors, or an index ({@code .index.json})
     * @return the names of the files, without duplicates; empty if {@code file} is not an index
     * @throws InputException if the index cannot be read or is malformed
     */
    static List<String> shards(Path file) {
        return isIndex(file) ? ShardedStateDict.files(file) : List.of();
    }

    private static boolean isIndex(Path file) {
        return file.getFileName().toString().endsWith(".index.json");
    }

    /**
     * Returns a text that {@code torch.jit.save} stored beside a module ({@code _extra_files}). Reads only the
     * directory of the archive and that entry.
     *
     * @param file a file of tensors
     * @param name name of the text, at most 1 MiB long
     * @return the text; empty if the file is not a zip archive or has no such entry
     * @throws InputException if the archive is damaged or cannot be read, would unpack to much more than its size, or
     *     the entry is too long
     */
    static Optional<String> extraFile(Path file, String name) {
        try (TensorScope scope = TensorScope.open()) {
            MappedFile mapping = MappedFile.open(file, scope);
            if (mapping.size() < 2 || mapping.bytes(0, 2)[0] != 'P' || mapping.bytes(0, 2)[1] != 'K')
                return Optional.empty();
            StoredZip zip = StoredZip.open(file, mapping, StoredZip.SOURCE_CODE);
            return zip.entries().keySet().stream()
                    .filter(entry -> entry.matches("[^/]+/extra/" + Pattern.quote(name)))
                    .findFirst()
                    .map(entry -> new String(zip.bytes(entry, 1 << 20), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new InputException(file + " cannot be read: " + InputException.reason(e), e);
        }
    }

    /** {@return the path of the file, or of the index of several files} */
    Path file();

    /** {@return the names of the tensors, in the order of the file; unmodifiable} */
    Set<String> names();

    /**
     * Returns the shape of a tensor.
     *
     * @param name name of the tensor
     * @return its shape
     * @throws InputException if there is no tensor of that name
     */
    Shape shape(String name);

    /**
     * Returns the dtype of a tensor.
     *
     * @param name name of the tensor
     * @return its dtype in the file
     * @throws InputException if there is no tensor of that name
     */
    DType dtype(String name);

    /**
     * Returns a CPU tensor over the mapped bytes, which are copied only if they are not aligned to the element size, or
     * are compressed.
     *
     * @param name name of the tensor
     * @return the tensor, with the shape and dtype of the file; belongs to the innermost open scope, which must close
     *     before or with the scope of the mapping
     * @throws InputException if there is no tensor of that name
     */
    Tensor tensor(String name);

    /**
     * Returns whether there is a tensor of a name.
     *
     * @param name name of the tensor
     * @return true if there is one
     */
    default boolean has(String name) {
        return names().contains(name);
    }

    /**
     * Returns a floating-point tensor of an expected shape.
     *
     * @param name     name of the tensor
     * @param expected the shape that it has to have
     * @return a CPU tensor over the mapped bytes, as of {@link #tensor}; belongs to the innermost open scope
     * @throws InputException if there is no tensor of that name, or it has another shape or is not floating-point
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

    /**
     * Creates the exception for a tensor that does not exist; its message suggests the most similar name.
     *
     * @param name name of the missing tensor
     * @return the exception, to be thrown by the caller
     */
    default InputException missing(String name) {
        return new InputException(file() + " has no tensor '" + name + "'." + Suggestions.didYouMean(name, names()));
    }
}
