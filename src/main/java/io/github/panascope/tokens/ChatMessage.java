package io.github.panascope.tokens;

import java.util.Objects;

/**
 * A message of a conversation with a model that was trained for it.
 *
 * @param role    who says it
 * @param content what is said
 */
public record ChatMessage(Role role, String content) {
    /** The parties of a conversation. */
    public enum Role {
        /** Instructions for the whole conversation, before its first message. */
        SYSTEM,
        /** The person who asks. */
        USER,
        /** The model. */
        ASSISTANT
    }

    /** Checks that neither is null. */
    public ChatMessage {
        Objects.requireNonNull(role, "a message needs a role");
        Objects.requireNonNull(content, "a message needs a content, which may be empty");
    }

    /**
     * Creates a message with instructions for the conversation.
     *
     * @param content the instructions
     * @return the message
     */
    public static ChatMessage system(String content) {
        return new ChatMessage(Role.SYSTEM, content);
    }

    /**
     * Creates a message of the person who asks.
     *
     * @param content what is said
     * @return the message
     */
    public static ChatMessage user(String content) {
        return new ChatMessage(Role.USER, content);
    }

    /**
     * Creates a message of the model.
     *
     * @param content what is said
     * @return the message
     */
    public static ChatMessage assistant(String content) {
        return new ChatMessage(Role.ASSISTANT, content);
    }
}
