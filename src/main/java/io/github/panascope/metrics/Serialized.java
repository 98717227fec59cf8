package io.github.panascope.metrics;

import java.io.Externalizable;
import java.io.IOException;
import java.io.InvalidObjectException;
import java.io.ObjectInput;
import java.io.ObjectOutput;
import java.io.StreamCorruptedException;

/** What Java serialization writes in place of an accumulator: a number for its class, and its compact form. */
final class Serialized implements Externalizable {
    private static final long serialVersionUID = 1L;

    private transient Object accumulator;

    /** Makes an object that reads its accumulator. Only Java serialization calls this. */
    public Serialized() {}

    Serialized(Object accumulator) {
        this.accumulator = accumulator;
    }

    @Override
    public void writeExternal(ObjectOutput out) throws IOException {
        switch (accumulator) {
            case L0 l0 -> {
                out.writeByte(0);
                l0.writeTo(out);
            }
            case ExplainedVariance variance -> {
                out.writeByte(1);
                variance.writeTo(out);
            }
            case DownstreamLoss loss -> {
                out.writeByte(2);
                loss.writeTo(out);
            }
            case TutorialMetrics metrics -> {
                out.writeByte(3);
                metrics.writeTo(out);
            }
            case SaeEvals evals -> {
                out.writeByte(4);
                evals.writeTo(out);
            }
            default -> throw new IllegalStateException(accumulator + " has no compact form");
        }
    }

    @Override
    public void readExternal(ObjectInput in) throws IOException {
        int number = in.readByte();
        accumulator = switch (number) {
            case 0 -> L0.readFrom(in);
            case 1 -> ExplainedVariance.readFrom(in);
            case 2 -> DownstreamLoss.readFrom(in);
            case 3 -> TutorialMetrics.readFrom(in);
            case 4 -> SaeEvals.readFrom(in);
            default -> throw new StreamCorruptedException("an accumulator of class " + number);
        };
    }

    private Object readResolve() {
        return accumulator;
    }

    /** Returns what an accumulator throws that is read in another form. */
    static InvalidObjectException refused() {
        return new InvalidObjectException("accumulators are serialized in their compact form only");
    }
}
