package io.github.panascope.lens;

import io.github.panascope.torch.Tensor;
import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;

/**
 * The event of a forward pass in a flight recording. Operators, hooks and copies inside the pass have events of their
 * own.
 */
@Name("panascope.Run")
@Label("Forward Pass")
@Category("Panascope")
@Description("A run of a model over a batch of tokens, or of some of its blocks")
final class RunEvent extends Event {
    @Label("Model")
    String model;

    @Label("Rows")
    long rows;

    @Label("Positions")
    long positions;

    @Label("First Block")
    int firstBlock;

    @Label("End Block")
    @Description("the block before which the run ended")
    int endBlock;

    @Label("Activations Kept")
    int kept;

    /** Starts an event; returns null if the event is switched off. */
    static RunEvent started() {
        RunEvent event = new RunEvent();
        if (!event.isEnabled()) return null;
        event.begin();
        return event;
    }

    void finish(String name, Tensor tokens, int first, int end, int activations) {
        end();
        if (!shouldCommit()) return;
        model = name;
        rows = tokens.size(0);
        positions = tokens.size(1);
        firstBlock = first;
        endBlock = end;
        kept = activations;
        commit();
    }
}
