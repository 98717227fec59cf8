package io.github.panascope.notebook;

import java.util.Map;
import java.util.UUID;
import java.util.WeakHashMap;
import org.dflib.jjava.jupyter.kernel.BaseKernel;
import org.dflib.jjava.jupyter.kernel.DisplayStream;
import org.dflib.jjava.jupyter.kernel.display.DisplayData;

/** Lines of progress as results of a cell that are updated, of which a notebook keeps the last state. */
final class KernelLines implements Progress.Output {
    private final DisplayStream display;
    /** The ids of the lines that are there, by their work. */
    private final Map<Progress, String> ids = new WeakHashMap<>();

    KernelLines(BaseKernel kernel) {
        this.display = kernel.getIO().display;
    }

    @Override
    public synchronized void draw(Progress progress, String line, boolean last) {
        DisplayData data = new DisplayData(line);
        String id = ids.get(progress);
        if (id != null) {
            display.updateDisplay(id, data);
            return;
        }
        id = UUID.randomUUID().toString();
        ids.put(progress, id);
        data.putTransientData("display_id", id); // by its name: setDisplayId differs between versions of JJava
        display.display(data);
    }
}
