package io.github.panascope.weights;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/**
 * Tensors that are spread over several files (shards), as {@code model.safetensors.index.json} lists them:
 * {@code weight_map} gives the file of each tensor.
 */
final class ShardedStateDict implements StateDict {
    private final Path index;
    private final Map<String, StateDict> shards;

    private ShardedStateDict(Path index, Map<String, StateDict> shards) {
        this.index = index;
        this.shards = shards;
    }

    /** Returns the name of the file of each tensor, by the name of the tensor. */
    private static Map<String, String> weightMap(Path index) {
        ConfigFile map = ConfigFile.read(index)
                .object("weight_map")
                .orElseThrow(() ->
                        new InputException(index + " has no 'weight_map', which should give the file of each tensor."));
        Map<String, String> files = new LinkedHashMap<>();
        for (String name : map.keys()) {
            String file = map.text(name);
            // The files lie beside the index; a path could point anywhere.
            if (!file.matches("[A-Za-z0-9_][A-Za-z0-9_.-]*") || file.endsWith(".json"))
                throw map.wrong(name, "the name of a file beside it");
            files.put(name, file);
        }
        return files;
    }

    /** Returns the names of the files that an index lists. */
    static List<String> files(Path index) {
        return weightMap(index).values().stream().distinct().toList();
    }

    /** Opens the files of an index and checks that each tensor is in the file that the index gives. */
    static ShardedStateDict open(Path index, TensorScope scope, Function<String, Path> files) {
        Map<String, StateDict> opened = new LinkedHashMap<>();
        Map<String, StateDict> shards = new LinkedHashMap<>();
        weightMap(index).forEach((name, file) -> {
            StateDict shard = opened.computeIfAbsent(file, missing -> StateDict.open(files.apply(missing), scope));
            if (!shard.has(name))
                throw new InputException(index + " says that tensor '" + name + "' is in " + file + ", but it is not.");
            shards.put(name, shard);
        });
        return new ShardedStateDict(index, shards);
    }

    @Override
    public Path file() {
        return index;
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(shards.keySet());
    }

    private StateDict shard(String name) {
        StateDict shard = shards.get(name);
        if (shard == null) throw missing(name);
        return shard;
    }

    @Override
    public Shape shape(String name) {
        return shard(name).shape(name);
    }

    @Override
    public DType dtype(String name) {
        return shard(name).dtype(name);
    }

    @Override
    public Tensor tensor(String name) {
        return shard(name).tensor(name);
    }
}
