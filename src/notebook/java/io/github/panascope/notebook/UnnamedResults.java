package io.github.panascope.notebook;

import java.lang.reflect.InvocationTargetException;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import jdk.jshell.JShell;
import jdk.jshell.Snippet;
import jdk.jshell.VarSnippet;
import org.dflib.jjava.jupyter.kernel.BaseKernel;
import org.jspecify.annotations.Nullable;

/**
 * The results of cells that end in an expression. JShell keeps each in a variable of its own ({@code $7}), for as long
 * as the kernel runs; so a cell that shows a tensor would take more memory at each run. This class lets go of all but
 * the latest.
 */
final class UnnamedResults {
    private static final Set<String> TYPES = Set.of("Tensor", "ActivationCache", "RunWithCache", "Sorted", "Extremes");

    private final BaseKernel kernel;

    UnnamedResults(BaseKernel kernel) {
        this.kernel = kernel;
    }

    /** Returns a function that lets go of earlier results before it shows one. */
    <T> Function<T, String> before(Function<T, String> html) {
        return result -> {
            release();
            return html.apply(result);
        };
    }

    /** Lets go of earlier unnamed results that hold tensors. Does nothing while a cell runs, as JShell is busy then. */
    void release() {
        JShell shell = shell();
        if (shell == null || Thread.currentThread().getName().startsWith("jjava-exec")) return;
        List<VarSnippet> unnamed = shell.variables()
                .filter(variable -> variable.subKind() == Snippet.SubKind.TEMP_VAR_EXPRESSION_SUBKIND)
                .filter(variable -> TYPES.contains(
                        variable.typeName().substring(variable.typeName().lastIndexOf('.') + 1)))
                .toList();
        for (VarSnippet variable : unnamed.subList(0, Math.max(0, unnamed.size() - 1))) {
            shell.eval(variable.name() + " = null;");
            shell.drop(variable);
        }
    }

    /** Returns the shell of a Java kernel; null if the kernel has none. */
    private @Nullable JShell shell() {
        try {
            return kernel.getClass().getMethod("getJShell").invoke(kernel) instanceof JShell shell ? shell : null;
        } catch (NoSuchMethodException | IllegalAccessException | InvocationTargetException e) {
            return null;
        }
    }
}
