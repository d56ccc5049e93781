"""The engines on clusters of other systems, Dask and Ray.

    DaskExecutionBackend, RayExecutionBackend    the client's end, on top of `ClusterBackend`
              │ one task of Dask or Ray for each call, or chunk of a map
              ▼
    worker_calls                                 in each worker of Dask or Ray
              │ the worker's own thread waits
              ▼
    a process as in the engine ``processes``     runs the call

A worker of Dask has several threads, and runs tasks of other programs. Functions of a script, and
modules of a project, need a process of their own. So do calls that are stopped, or that crash.
"""
