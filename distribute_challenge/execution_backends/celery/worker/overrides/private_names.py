"""Lists the private names of Celery, kombu and billiard that this folder and `bootsteps` use.

A test checks that each name exists, so that a release that renames one is noticed early.
"""

from typing import Final

__all__ = ["PRIVATE"]

#: By module and class: the attributes and methods in use, and for attributes that only exist on
#: instances, their names, which occur in the source.
PRIVATE: Final = {
    "billiard.common": ("TERMSIGS_FULL", "_shutdown_cleanup"),
    "billiard.pool": ("EX_RECYCLE",),
    "billiard.pool:ApplyResult": ("_write_to", "discard"),
    "billiard.pool:Pool": (
        "_cache",
        "_pool",
        "_result_handler",
        "maintain_pool",
        "on_job_process_lost",
    ),
    "billiard.pool:Worker": (
        "_do_exit",
        "_ensure_messages_consumed",
        "_make_child_methods",
        "inqW_fd",
        "max_memory_per_child",
        "maxtasks",
        "on_exit",
        "on_ready_counter",
        "outq",
        "prepare_result",
        "wait_for_job",
    ),
    "billiard.process:BaseProcess": ("_is_alive",),
    "celery.app.amqp:AMQP": ("Connection",),
    "celery.concurrency.asynpool": ("_writer",),
    "celery.concurrency.asynpool:AsynPool": (
        "ResultHandler",
        "Worker",
        "_active_writers",
        "_active_writes",
        "_all_inqueues",
        "_busy_workers",
        "_create_process_handlers",
        "_create_write_handlers",
        "_flush_writer",
        "_quick_put",
        "_waiting_to_start",
        "_result_handler",
        "flush",
        "on_poll_start",
        "outbound_buffer",
        "process_flush_queues",
        "terminate_job",
    ),
    "celery.concurrency.asynpool:ResultHandler": (
        "_make_process_result",
        "_recv_message",
        "fileno_to_outq",
        "on_state_change",
        "state_handlers",
    ),
    "celery.concurrency.asynpool:Worker": ("on_loop_start",),
    "celery.concurrency.prefork:TaskPool": ("Pool", "_pool", "num_processes", "on_stop"),
    "celery.worker.consumer:Consumer": (
        "_update_prefetch_count",
        "on_connection_error_after_connected",
    ),
    "celery.worker.request:Request": (
        "_announce_revoked",
        "_app",
        "_worker_lost_info",
        "worker_pid",
    ),
    "celery.worker.state": ("requests", "should_stop", "should_terminate"),
    "kombu.connection:Connection": ("_ensure_connection", "declared_entities"),
    "kombu.transport": ("TRANSPORT_ALIASES",),
    "kombu.transport.redis:Channel": (
        "QoS",
        "_async_pool",
        "_brpop_read",
        "_brpop_start",
        "_deliver_fanout_message",
        "_flush_brpop_reauth",
        "_in_poll",
        "_pool",
        "_queue_cycle",
        "_receive_one",
        "from_transport_options",
        "sep",
    ),
    "kombu.transport.redis:QoS": (
        "_on_collect",
        "can_consume",
        "restore_unacked_once",
        "restore_visible",
    ),
    "kombu.transport.redis:Transport": ("Channel", "_deliver"),
}
