/**
 * The command line: picocli commands that walk the tutorial, test a prompt, evaluate, check, list and fetch, and look
 * at the installation. Not part of the library jar.
 */
package io.github.panascope.cli;
