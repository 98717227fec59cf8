"""Runs cells in a kernel of JJava, for NotebookIT: run_cells.py CELLS.json RESULTS.json

A cell is {"code": ..., "interrupt": true or false}. One that is interrupted has to print a line first; the interrupt is
sent a second after it. A result has the cell's streams and results as one text, its results as one HTML, its error or
null, the seconds that it took, and the seconds from the interrupt to the end, or null.
"""

import json
import sys
import time
from jupyter_client.manager import start_new_kernel


def run(manager, client, cell):
    text, html, error, printed, interrupted = [], [], None, None, None
    started = time.monotonic()
    request = client.execute(cell['code'], store_history=True)
    while True:
        if cell.get('interrupt') and printed and not interrupted and time.monotonic() - printed > 1:
            interrupted = time.monotonic()
            manager.interrupt_kernel()
        if time.monotonic() - started > 240:
            raise TimeoutError(cell['code'])
        try:
            message = client.get_iopub_msg(timeout=0.05)
        except Exception as nothing:
            if type(nothing).__name__ != 'Empty':
                raise
            continue
        if message['parent_header'].get('msg_id') != request:
            continue
        content = message['content']
        if message['msg_type'] == 'stream':
            text.append(content['text'])
            printed = printed or time.monotonic()
        elif message['msg_type'] in ('execute_result', 'display_data', 'update_display_data'):
            text.append(content['data'].get('text/plain', ''))
            html.append(content['data'].get('text/html', ''))
        elif message['msg_type'] == 'error':
            error = '\n'.join(content['traceback'])
        elif message['msg_type'] == 'status' and content['execution_state'] == 'idle':
            break
    ended = time.monotonic()
    return {
        'text': ''.join(text),
        'html': ''.join(html),
        'error': error,
        'seconds': ended - started,
        'afterInterrupt': ended - interrupted if interrupted else None,
    }


def main():
    cells = json.load(open(sys.argv[1]))
    manager, client = start_new_kernel(kernel_name='java')
    try:
        results = [run(manager, client, cell) for cell in cells]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    json.dump(results, open(sys.argv[2], 'w'))


main()
