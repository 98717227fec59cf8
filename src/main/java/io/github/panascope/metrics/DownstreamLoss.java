package io.github.panascope.metrics;

import io.github.panascope.internal.CompactForm;
import io.github.panascope.internal.ExactSum;
import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.io.InvalidObjectException;
import java.io.ObjectInputStream;
import java.io.Serializable;

/**
 * An accumulator of the mean cross-entropy of the next token, in nats, with three activations at the SAE's hook point:
 * the model's own, the reconstruction, and zeros. It holds only sums, which are exact: accumulators of parts can be
 * merged in any order and grouping, with equal results, and can be serialized.
 */
public final class DownstreamLoss implements Serializable {
    private static final long serialVersionUID = 1L;
    private static final CompactForm FORM = new CompactForm("DownstreamLoss", 'D', 1);

    private transient long predictions;
    private transient ExactSum original = new ExactSum();
    private transient ExactSum reconstructed = new ExactSum();
    private transient ExactSum zero = new ExactSum();

    /** Makes an accumulator without predictions. */
    public DownstreamLoss() {}

    /**
     * Adds the losses of predictions.
     *
     * @param predictions   the number of predictions, at least 0
     * @param original      the sum over them of the losses of the unchanged model, in nats
     * @param reconstructed the sum of the losses with the reconstruction in place of the activation, in nats
     * @param zero          the sum of the losses with zeros in place of the activation, in nats
     * @throws IllegalArgumentException if {@code predictions} is negative
     */
    public void add(long predictions, double original, double reconstructed, double zero) {
        if (predictions < 0) throw new IllegalArgumentException("there cannot be " + predictions + " predictions");
        this.predictions += predictions;
        this.original.add(original);
        this.reconstructed.add(reconstructed);
        this.zero.add(zero);
    }

    /**
     * Adds the predictions of another accumulator to this one.
     *
     * @param other the other accumulator, which stays as it is
     */
    public void merge(DownstreamLoss other) {
        predictions += other.predictions;
        original.add(other.original);
        reconstructed.add(other.reconstructed);
        zero.add(other.zero);
    }

    /** {@return the number of predictions, over which the losses are means} */
    public long predictions() {
        return predictions;
    }

    /** {@return the mean loss of the unchanged model, in nats; NaN without predictions} */
    public double original() {
        return original.value() / predictions;
    }

    /** {@return the mean loss with the reconstruction in place of the activation, in nats; NaN without predictions} */
    public double reconstructed() {
        return reconstructed.value() / predictions;
    }

    /** {@return the mean loss with zeros in place of the activation, in nats; NaN without predictions} */
    public double zero() {
        return zero.value() / predictions;
    }

    /**
     * {@return the CE loss score (zero - reconstructed) / (zero - original): 1 for a perfect reconstruction, 0 for one
     * that is no better than zeros}
     */
    public double score() {
        return (zero() - reconstructed()) / (zero() - original());
    }

    /**
     * Writes this accumulator in its compact form: the number of predictions, and the exact sums. Equal accumulators
     * write equal bytes.
     *
     * @param out what takes the bytes
     * @throws IOException if the output fails
     */
    public void writeTo(DataOutput out) throws IOException {
        FORM.write(out, content -> {
            CompactForm.writeVarint(content, predictions);
            original.writeTo(content);
            reconstructed.writeTo(content);
            zero.writeTo(content);
        });
    }

    /**
     * Reads what {@link #writeTo} wrote, and nothing after it.
     *
     * @param in the bytes
     * @return a new accumulator
     * @throws io.github.panascope.InputException if the bytes are not those of a DownstreamLoss of this version, or are
     *     damaged
     * @throws IOException if the input fails
     */
    public static DownstreamLoss readFrom(DataInput in) throws IOException {
        return FORM.read(in, content -> {
            DownstreamLoss loss = new DownstreamLoss();
            loss.predictions = CompactForm.readCount(content);
            loss.original = ExactSum.readFrom(content);
            loss.reconstructed = ExactSum.readFrom(content);
            loss.zero = ExactSum.readFrom(content);
            return loss;
        });
    }

    /** {@return what Java serialization writes in place of this: the compact form} */
    private Object writeReplace() {
        return new Serialized(this);
    }

    /**
     * Refuses bytes that are not the compact form.
     *
     * @param in the bytes
     * @throws InvalidObjectException always
     */
    private void readObject(ObjectInputStream in) throws InvalidObjectException {
        throw Serialized.refused();
    }

    /** {@return a description with the three losses} */
    @Override
    public String toString() {
        return "DownstreamLoss[original=" + original() + ", reconstructed=" + reconstructed() + ", zero=" + zero()
                + "]";
    }
}
